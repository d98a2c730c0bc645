/** Prometheus' text format (version 0.0.4): a family is a name, what it means, and its values under their labels. */

export type Labels = Readonly<Record<string, string>>
/** The same as it is written, without the brackets: `vhost="/",queue="orders"`. For things of which there are very many. */
export type LabelText = string
export type Sample = readonly [labels: Labels | LabelText | null, value: number]

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'untyped'
  readonly help: string
  /** Gone through when the family is written. With a suffix: of a histogram. */
  readonly samples: Iterable<readonly [labels: Labels | LabelText | null, value: number, suffix?: string]>
}

export const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Of a piece: it takes some microseconds to make. */
const pieceLines = 16

/** Some lines a piece; a family without samples is left out. */
export function* familyPieces(families: Iterable<Family>): Generator<string> {
  for (const { name, type, help, samples } of families) {
    let lines = 0
    let piece = ''
    for (const [labels, value, suffix = ''] of samples) {
      if (lines === 0) piece = `# HELP ${name} ${help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${type}\n`
      piece += `${name}${suffix}${inBrackets(labels)} ${numberText(value)}\n`
      if (++lines % pieceLines !== 0) continue
      yield piece
      piece = ''
    }
    if (piece !== '') yield piece
  }
}

function inBrackets(labels: Labels | LabelText | null): string {
  if (labels === null) return ''
  const text = typeof labels === 'string' ? labels : Object.entries(labels).map(pairText).join(',')
  return text === '' ? '' : `{${text}}`
}

function pairText([name, value]: readonly [string, string]): LabelText {
  return labelText(name, value)
}

export function labelText(name: string, value: string): LabelText {
  return `${name}="${escaped(value)}"`
}

const special = /[\\"\n]/

function escaped(value: string): string {
  if (!special.test(value)) return value
  return value.replaceAll(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

/** Of one value without labels. */
export function single(type: Family['type'], name: string, help: string, value: number): Family {
  return { name, type, help, samples: [[null, value]] }
}

/** What `base/histogram.ts` counts, as Prometheus wants it: each bucket with those below it. */
export function* bucketSamples(
  { bounds, counts, sum }: { readonly bounds: readonly number[]; readonly counts: Float64Array; readonly sum: number },
  labels: Labels = {},
): Generator<readonly [Labels, number, string]> {
  let count = 0
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    count += counts[index] ?? 0
    yield [{ ...labels, le: numberText(bound) }, count, '_bucket']
  }
  yield [labels, sum, '_sum']
  yield [labels, count, '_count']
}
