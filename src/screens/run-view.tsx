import { Box, Text } from 'ink';
import { rtoClock } from '../engine/rto-clock.js';
import { AT_WORK, type RunSnapshot } from '../engine/snapshot.js';
import { OVER } from '../engine/turn.js';
import { logTimeOf } from '../words.js';
import { Lines, useSpace } from './frame.js';
import { useLesson } from './lessons/lesson.js';
import { Chosen, useLinear } from './linear.js';
import { hintLines, progressLines, sideBySideLines, standingWords } from './step-lines.js';
import { StepList } from './step-list.js';
import { cut } from './text.js';

interface Props {
  run: RunSnapshot;
  selected: number;
  /** A person chose the step that is selected. */
  isChosen: boolean;
  now: number;
}

/** Steps on the left, the chosen one or all that are at work on the right, the newest log lines below; told line by line: where every step stands. */
export function RunView({ run, selected, isChosen, now }: Props) {
  const { columns, bodyRows } = useSpace();
  const step = run.steps[selected]!;
  const linear = useLinear();
  const inLesson = useLesson() !== undefined;
  if (linear) {
    return (
      <>
        <Lines lines={run.steps.map((one) => standingWords(one, now))} />
        {rtoClock(run, now).late > 0 && <Text>The run takes longer than expected.</Text>}
        {isChosen && (
          <>
            <Chosen label={step.id} at={selected} of={run.steps.length} />
            <Lines lines={progressLines(step, columns, now)} />
            {inLesson && OVER.has(step.state) && <Lines lines={hintLines(step.teach, columns)} />}
          </>
        )}
      </>
    );
  }
  const logRows = Math.max(2, Math.min(8, bodyRows - Math.max(run.steps.length, LEAST_DETAIL) - 2));
  const upper = bodyRows - logRows - 1;
  const listWidth = Math.min(40, Math.floor(columns * 0.42));
  const detailWidth = columns - listWidth - 3;
  const atWork = run.steps.filter(({ state }) => AT_WORK.has(state));
  const sideBySide = !isChosen && atWork.length > 1;
  const detail = sideBySide
    ? atWork.flatMap((one) =>
        shareOfRoom(sideBySideLines(one, detailWidth - 1, now), Math.floor(upper / atWork.length)),
      )
    : [
        ...progressLines(step, detailWidth - 1, now),
        ...(inLesson && OVER.has(step.state) ? hintLines(step.teach, detailWidth - 1) : []),
      ];
  return (
    <>
      <Box height={upper} overflow="hidden">
        <Box flexDirection="column" width={listWidth}>
          <StepList
            steps={run.steps}
            selected={selected}
            marked={!sideBySide}
            width={listWidth}
            height={upper}
            now={now}
          />
        </Box>
        <Box flexDirection="column" width={detailWidth} marginLeft={1}>
          <Lines lines={detail.slice(0, upper).map((line) => cut(line, detailWidth - 1))} />
        </Box>
      </Box>
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Log run={run} rows={logRows} columns={columns} />
    </>
  );
}

/** How many lines of a step there is room for, however few steps there are. */
const LEAST_DETAIL = 8;

/** As many lines as there is room for, and an empty one after them where there is room for that, too. */
const shareOfRoom = (lines: readonly string[], room: number) =>
  lines.length < room ? [...lines, ''] : lines.slice(0, Math.max(1, room));

function Log({ run, rows, columns }: { run: RunSnapshot; rows: number; columns: number }) {
  const lines = run.log
    .slice(-rows)
    .map((line) => cut(` ${logTimeOf(new Date(line.at))} ${line.step.padEnd(17)} ${line.text}`, columns));
  return (
    <Box flexDirection="column" height={rows} overflow="hidden">
      <Lines lines={lines} />
    </Box>
  );
}
