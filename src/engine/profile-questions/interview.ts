import { type Profile, profileSchema, type ServiceName } from '../../config/profile.js';
import { placeOfProfile, profileText, writeProfile } from '../../config/profile-file.js';
import { keepProfile } from '../../config/profiles.js';
import { Problem } from '../../problem.js';
import { FalkorDB } from '../../stores/falkordb/connection.js';
import { Postgres } from '../../stores/postgres/connection.js';
import { type PartSettings, type Tried, tryConnection } from '../../stores/try-connection.js';
import { messageOf } from '../../words.js';
import { type Answers, PROFILE_QUESTIONS, type ProfileQuestion, profileFrom } from './questions.js';

/** Where the questions stand. Never changed once published. */
export interface InterviewSnapshot {
  phase: 'asking' | 'trying' | 'tried' | 'reading' | 'written';
  question: ProfileQuestion;
  /** Which question that is, of how many that belong so far. */
  at: number;
  of: number;
  /** What enter alone means; empty where it means nothing. */
  usual: string;
  /** Why the last answer was not taken. */
  refused: string | undefined;
  /** What came of the newest try of the part that is asked about. */
  tried: Tried | undefined;
  /** The file as it would be written, where everything is answered. */
  text: string;
  file: string;
}

/** What means that there is none, where enter alone would mean something. */
export const NONE = 'none';

/** The questions of `profile add`: answers are taken or refused, each part is tried as soon as it is described, and any can be corrected. */
export class Interview {
  #answers: Answers = {};
  #snapshot: InterviewSnapshot;
  readonly #listeners = new Set<() => void>();

  /** `output`: where the file is written, unless into this program's own folder. */
  constructor(readonly output: string | undefined) {
    this.#snapshot = this.#at(PROFILE_QUESTIONS[0]!);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): InterviewSnapshot => this.#snapshot;

  /** Takes an answer and goes on, or says why it cannot be taken. */
  answer(typed: string): void {
    const { question, phase, usual } = this.#snapshot;
    if (phase !== 'asking') return;
    const text = typed.trim();
    const answer = text === '' ? usual : text === NONE ? '' : text;
    const refused = question.refuses?.(answer, this.#answers);
    if (refused !== undefined) {
      this.#publish({ ...this.#snapshot, refused });
      return;
    }
    this.#answers = { ...this.#answers, [question.id]: answer };
    if (question.tries) void this.#try(question.tries, question);
    else this.#next(question);
  }

  /** Goes to the question before, whose answer is then what enter alone means. Answers false at the first one. */
  back(): boolean {
    const { question, phase } = this.#snapshot;
    if (phase === 'trying' || phase === 'written') return true;
    if (phase === 'tried' || phase === 'reading') {
      this.#publish(this.#at(question));
      return true;
    }
    const before = this.#belonging().slice(0, this.#belonging().indexOf(question)).at(-1);
    if (!before) return false;
    this.#publish(this.#at(before));
    return true;
  }

  /** After a try: on to the next question, once more as it is, or back to the first question about that part. */
  afterTry(way: 'on' | 'again' | 'correct'): void {
    const { question, phase } = this.#snapshot;
    if (phase !== 'tried') return;
    if (way === 'on') this.#next(question);
    else if (way === 'again') void this.#try(question.tries!, question);
    else this.#publish(this.#at(PROFILE_QUESTIONS.find(({ id }) => id === `${question.tries}.url`)!));
  }

  /** Writes the file and remembers it. What stands in the way is said, and nothing is written then. */
  write(): void {
    if (this.#snapshot.phase !== 'reading') return;
    const { file, text } = this.#snapshot;
    try {
      writeProfile(file, text);
      keepProfile(file);
      this.#publish({ ...this.#snapshot, phase: 'written', refused: undefined });
    } catch (error) {
      const next = error instanceof Problem ? ` Next: ${error.next}` : '';
      this.#publish({ ...this.#snapshot, refused: `${messageOf(error)}${next}` });
    }
  }

  get name(): string {
    return this.#answers.name ?? '';
  }

  async #try(service: ServiceName, question: ProfileQuestion): Promise<void> {
    this.#publish({ ...this.#at(question), phase: 'trying' });
    const settings = profileSchema.shape[service].parse(profileFrom(this.#answers)[service]);
    const tried = await tryConnection({ service, settings } as PartSettings);
    if ((service === 'falkordb' || service === 'postgres') && tried.outcome === 'answers') {
      const seen = await SEEN_DIR[service](settings as never).catch(() => undefined);
      this.#answers = { ...this.#answers, ...(seen === undefined ? {} : { [`${service}.seenDir`]: seen }) };
    }
    this.#publish({ ...this.#at(question), phase: 'tried', tried });
  }

  #next(question: ProfileQuestion): void {
    const belonging = this.#belonging();
    const next = belonging[belonging.indexOf(question) + 1];
    if (next) {
      this.#publish(this.#at(next));
      return;
    }
    const profile = profileFrom(this.#answers);
    this.#publish({
      ...this.#at(question),
      phase: 'reading',
      text: profileText(profile, ['Made by novamem-runbook profile add.']),
      file: this.output ?? placeOfProfile(profile.name),
    });
  }

  #belonging(): ProfileQuestion[] {
    return PROFILE_QUESTIONS.filter(({ belongs }) => belongs === undefined || belongs(this.#answers));
  }

  #at(question: ProfileQuestion): InterviewSnapshot {
    const belonging = this.#belonging();
    return {
      phase: 'asking',
      question,
      at: belonging.indexOf(question) + 1,
      of: belonging.length,
      usual: this.#answers[question.id] ?? question.usual?.(this.#answers) ?? '',
      refused: undefined,
      tried: undefined,
      text: '',
      file: '',
    };
  }

  #publish(snapshot: InterviewSnapshot): void {
    this.#snapshot = snapshot;
    for (const listener of this.#listeners) listener();
  }
}

/** Where a server says that its files lie; some do not tell. */
const SEEN_DIR = {
  falkordb: async (settings: Profile['falkordb']) => (await new FalkorDB(settings).config('dir')).dir,
  async postgres(settings: Profile['postgres']) {
    const [row] = await new Postgres(settings).read<{ dir: string }>(
      "SELECT setting AS dir FROM pg_settings WHERE name = 'data_directory'",
    );
    return row?.dir;
  },
};
