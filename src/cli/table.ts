import { type Colour, inert, type Printer } from './print.ts';

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Ids are copied from the screen: they give way last. */
  readonly isWhole?: boolean;
  /** Left out where the terminal is too narrow to read the others; the last of them first. */
  readonly isOptional?: boolean;
  readonly colour?: (row: Row) => Colour | null;
}

const gap = '  ';
const narrowest = 6;
/** With less than this a column that may shrink says too little to be worth one that is optional. */
const readable = 16;

/**
 * Prints rows under their titles, as wide as the terminal at most: optional columns are
 * left out first, then the widest give way, whole ones only when nothing else is left.
 */
export function printTable<Row>(to: Printer, all: readonly Column<Row>[], rows: readonly Row[]): void {
  const measured = all.map((column) => {
    const texts = rows.map((row) => inert(column.text(row)));
    const width = Math.max(column.title.length, ...texts.map(widthOf));
    return { column, texts, width, isWhole: column.isWhole === true };
  });
  const kept = worthwhile(measured, to.columns);
  const columns = kept.map(({ column }) => column);
  const widths = fit(kept, to.columns - gap.length * (kept.length - 1));
  const line = (texts: readonly string[]) => texts.join(gap).trimEnd();
  to.out(to.paint('bold', line(columns.map(({ title }, at) => padded(title, widths[at] ?? 0)))));
  for (const [index, row] of rows.entries()) {
    to.out(
      line(
        columns.map((column, at) => {
          const text = padded(kept[at]?.texts[index] ?? '', widths[at] ?? 0);
          const colour = column.colour?.(row) ?? null;
          return colour === null ? text : to.paint(colour, text);
        }),
      ),
    );
  }
}

interface Measured {
  readonly width: number;
  readonly isWhole: boolean;
}

/** Leaves out optional columns, the last first, until the others can be read. */
function worthwhile<M extends Measured & { readonly column: { readonly isOptional?: boolean } }>(
  measured: readonly M[],
  terminal: number,
): readonly M[] {
  const least = measured.reduce(
    (sum, { width, isWhole }) => sum + gap.length + (isWhole ? width : Math.min(width, readable)),
    -gap.length,
  );
  const last = measured.findLastIndex(({ column }) => column.isOptional);
  if (least <= terminal || last === -1) return measured;
  return worthwhile(
    measured.filter((_, at) => at !== last),
    terminal,
  );
}

/** Widths that sum to `room` at most, unless every column is at its narrowest. */
function fit(wanted: readonly Measured[], room: number): readonly number[] {
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
