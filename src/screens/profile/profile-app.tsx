import { Box, Text, useApp, useInput } from 'ink';
import { useSyncExternalStore } from 'react';
import { SERVICE_TITLES } from '../../config/profile.js';
import type { Interview, InterviewSnapshot } from '../../engine/profile-questions/interview.js';
import { Choice } from '../choice.js';
import { Frame, Lines, useSpace } from '../frame.js';
import { useOutside } from '../outside.js';
import { Scrolled } from '../scrolled.js';
import { Select } from '../select.js';
import { wrap } from '../text.js';
import { TextField } from '../text-field.js';
import { TooSmall, useTooSmall } from '../too-small.js';

/** `profile add`: a question at a time, what came of each connection, and the file before it is written. */
export function ProfileApp({ interview }: { interview: Interview }) {
  const { exit } = useApp();
  const leave = useOutside();
  const snapshot = useSyncExternalStore(interview.subscribe, interview.getSnapshot);
  const back = () => {
    if (!interview.back()) exit();
  };
  useInput((input, key) => {
    if (key.ctrl && input === 'c') exit();
    if (key.ctrl && input === 'z') leave('stop');
  });
  if (useTooSmall()) return <TooSmall atWork={false} />;
  const { phase, question, at, of } = snapshot;
  const frame = {
    cluster: interview.name || 'a new profile',
    production: false,
    title: 'profile add',
    right: `${at} of ${of}`,
  };
  switch (phase) {
    case 'trying':
      return (
        <Frame {...frame} keys={['ctrl-c leave']}>
          <Text> {SERVICE_TITLES[question.tries!]} is tried…</Text>
        </Frame>
      );
    case 'tried':
      return (
        <Frame {...frame} keys={['↑↓ choose', 'enter take it', 'esc back', 'ctrl-c leave']}>
          <TriedView snapshot={snapshot} interview={interview} />
        </Frame>
      );
    case 'reading':
    case 'written':
      return (
        <Frame {...frame} keys={['↑↓ choose', 'space scroll', 'esc back', 'ctrl-c leave']}>
          <ReadingView snapshot={snapshot} interview={interview} onLeave={() => exit()} />
        </Frame>
      );
    default:
      return (
        <Frame
          {...frame}
          keys={[question.choices ? '↑↓ choose' : 'type', 'enter take it', 'esc back', 'ctrl-c leave']}
        >
          <QuestionView
            key={`${question.id} ${snapshot.refused}`}
            snapshot={snapshot}
            onAnswer={(text) => interview.answer(text)}
            onBack={back}
          />
        </Frame>
      );
  }
}

function QuestionView({
  snapshot: { question, usual, refused },
  onAnswer,
  onBack,
}: {
  snapshot: InterviewSnapshot;
  onAnswer: (text: string) => void;
  onBack: () => void;
}) {
  const { columns } = useSpace();
  const width = columns - 2;
  const told = [
    ...question.hint.flatMap((line) => wrap(line, width)),
    ...(usual === '' || question.choices ? [] : ['', ...wrap(`enter alone: ${usual}`, width, 2)]),
    ...(refused === undefined ? [] : ['', ...wrap(`✗ ${refused}`, width, 2)]),
    '',
  ];
  return (
    <Box flexDirection="column" marginLeft={1}>
      <Lines lines={wrap(question.ask, width)} bold />
      <Lines lines={told} />
      {question.choices ? (
        <Choosing choices={question.choices} chosen={usual} onAnswer={onAnswer} onBack={onBack} />
      ) : (
        <TextField label="> " onSubmit={onAnswer} onCancel={onBack} />
      )}
    </Box>
  );
}

function Choosing({
  choices,
  chosen,
  onAnswer,
  onBack,
}: {
  choices: { value: string; label: string }[];
  chosen: string;
  onAnswer: (value: string) => void;
  onBack: () => void;
}) {
  useInput((_input, key) => {
    if (key.escape) onBack();
  });
  return (
    <Select
      items={choices.map((choice) => ({ ...choice, key: choice.value }))}
      initialIndex={Math.max(
        0,
        choices.findIndex(({ value }) => value === chosen),
      )}
      onSelect={({ value }) => onAnswer(value)}
    />
  );
}

function TriedView({ snapshot: { tried }, interview }: { snapshot: InterviewSnapshot; interview: Interview }) {
  const { service, outcome, address, seen, next } = tried!;
  const answers = outcome === 'answers';
  return (
    <Choice
      question={`${answers ? '●' : '✗'} ${SERVICE_TITLES[service]} ${answers ? 'answers' : WORDS[outcome]}`}
      lines={[`Tried  ${address}`, `Saw    ${seen}`, ...(next === undefined ? [] : [`Next   ${next}`])]}
      answers={
        answers
          ? [
              { label: 'go on', value: 'on' as const },
              { label: 'correct it all the same', value: 'correct' as const },
            ]
          : [
              { label: 'correct it', value: 'correct' as const },
              { label: 'try again: I have mended it', value: 'again' as const },
              { label: 'keep it as it is, and go on', value: 'on' as const },
            ]
      }
      onAnswer={(way) => interview.afterTry(way)}
    />
  );
}

const WORDS: Record<Exclude<NonNullable<InterviewSnapshot['tried']>['outcome'], 'answers'>, string> = {
  stopped: 'is not reached',
  silent: 'says nothing',
  denied: 'does not accept this login',
  untrusted: 'is there, but TLS with it is not agreed on',
  misconfigured: 'was not tried',
  missing: 'does not have what it should',
  unreadable: 'cannot be read',
  fewer: 'has less than it should',
  full: 'has no room left',
  unwell: 'answers otherwise than it should',
};

function ReadingView({
  snapshot: { text, file, refused },
  interview,
  onLeave,
}: {
  snapshot: InterviewSnapshot;
  interview: Interview;
  onLeave: () => void;
}) {
  const { columns, bodyRows } = useSpace();
  const width = columns - 2;
  const place = [
    ...wrap(`It is written to ${file}, for you alone to read.`, width, 2),
    ...(refused === undefined ? [] : wrap(`✗ ${refused}`, width, 2)),
  ];
  useInput((_input, key) => {
    if (key.escape) interview.back();
  });
  return (
    <>
      <Box flexDirection="column" marginLeft={1}>
        <Lines lines={place} />
      </Box>
      <Scrolled
        lines={text
          .trimEnd()
          .split('\n')
          .flatMap((line) => wrap(line, width, 4))}
        rows={Math.max(1, bodyRows - place.length - 3)}
        by="space"
      />
      <Box flexDirection="column" marginLeft={1}>
        <Select
          items={[
            { key: 'write', label: 'write it and remember it', value: 'write' as const },
            { key: 'leave', label: 'leave: nothing is written', value: 'leave' as const },
          ]}
          onSelect={({ value }) => {
            if (value === 'leave') return onLeave();
            interview.write();
            if (interview.getSnapshot().phase === 'written') onLeave();
          }}
        />
      </Box>
    </>
  );
}
