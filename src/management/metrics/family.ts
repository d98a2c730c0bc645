/** Prometheus' text format (version 0.0.4): a family is a name, what it means, and its values under their labels. */

export type Labels = Readonly<Record<string, string>>
export type Sample = readonly [labels: Labels | null, value: number]

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'untyped'
  readonly help: string
  /** Gone through when the family is written. With a suffix: of a histogram. */
  readonly samples: Iterable<readonly [labels: Labels | null, value: number, suffix?: string]>
}

export const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** A line a piece; a family without samples is left out. */
export function* familyPieces(families: Iterable<Family>): Generator<string> {
  for (const { name, type, help, samples } of families) {
    let isFirst = true
    for (const [labels, value, suffix = ''] of samples) {
      if (isFirst) yield `# HELP ${name} ${help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${type}\n`
      isFirst = false
      yield `${name}${suffix}${labelText(labels)} ${numberText(value)}\n`
    }
  }
}

function labelText(labels: Labels | null): string {
  if (labels === null) return ''
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
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
