import { type Colour, inert, type Printer } from './print.ts';

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Ids are copied from the screen: they give way last. */
  readonly isWhole?: boolean;
  readonly colour?: (row: Row) => Colour | null;
}

const gap = '  ';
const narrowest = 6;

/**
 * Prints rows under their titles, as wide as the terminal at most: the widest columns
 * give way first, whole ones only when nothing else is left to give.
 */
export function printTable<Row>(to: Printer, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  const cells = rows.map((row) => columns.map((column) => inert(column.text(row))));
  const widths = fit(
    columns.map(({ title, isWhole }, at) => ({
      width: Math.max(title.length, ...cells.map((line) => widthOf(line[at] ?? ''))),
      isWhole: isWhole === true,
    })),
    to.columns - gap.length * (columns.length - 1),
  );
  const line = (texts: readonly string[]) => texts.join(gap).trimEnd();
  to.out(to.paint('bold', line(columns.map(({ title }, at) => padded(title, widths[at] ?? 0)))));
  for (const [index, row] of rows.entries()) {
    to.out(
      line(
        columns.map((column, at) => {
          const text = padded(cells[index]?.[at] ?? '', widths[at] ?? 0);
          const colour = column.colour?.(row) ?? null;
          return colour === null ? text : to.paint(colour, text);
        }),
      ),
    );
  }
}

/** Widths that sum to `room` at most, unless every column is at its narrowest. */
function fit(
  wanted: readonly { readonly width: number; readonly isWhole: boolean }[],
  room: number,
): readonly number[] {
  const widths = wanted.map(({ width }) => width);
  for (const mayShrink of [(at: number) => wanted[at]?.isWhole === false, () => true]) {
    for (;;) {
      const over = widths.reduce((sum, width) => sum + width, 0) - room;
      if (over <= 0) return widths;
      const shrinkable = widths.flatMap((width, at) => (mayShrink(at) && width > narrowest ? [at] : []));
      const widest = Math.max(...shrinkable.map((at) => widths[at] ?? 0));
      const at = shrinkable.find((candidate) => widths[candidate] === widest);
      if (at === undefined) break;
      widths[at] = widest - 1;
    }
  }
  return widths;
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const twoColumns =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const printable = /^[\x20-\x7e]*$/;

function widthOf(text: string): number {
  if (printable.test(text)) return text.length;
  return [...segmenter.segment(text)].reduce((sum, { segment }) => sum + segmentWidth(segment), 0);
}

function segmentWidth(segment: string): number {
  return twoColumns.test(segment) ? 2 : 1;
}

/** Exactly `width` columns: filled with spaces, or cut with an ellipsis. */
function padded(text: string, width: number): string {
  const natural = widthOf(text);
  if (natural <= width) return text + ' '.repeat(width - natural);
  let kept = '';
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    if (used + segmentWidth(segment) > width - 1) break;
    kept += segment;
    used += segmentWidth(segment);
  }
  return `${kept}…${' '.repeat(Math.max(0, width - 1 - used))}`;
}
