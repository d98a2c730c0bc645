import { formatCount, formatMegabytes, formatMs, formatPercentiles, formatSpread } from './format.ts'
import { rateOf, type Summary } from './summary.ts'

const headings = [
  'scenario',
  'broker',
  'published/s',
  'delivered/s',
  'ratio',
  'deliver ms p50 / p99 / p99.9',
  'confirm ms p50 / p99 / p99.9',
  'quiet ms p50 / p99 / p99.9',
  'cores',
  'µs/message',
  'RSS MB',
  'longest GC ms',
  'longest pause ms',
  'of it own ms',
  'in use MB',
  'open again ms',
  'generator cores',
]

/** The results as a Markdown table with aligned columns: good to read in a terminal, ready for a page. */
export function renderTable(summaries: readonly Summary[]): string {
  const rows = summaries.map((summary) => cells(summary, rivalOf(summary, summaries)))
  const used = headings.map((_, column) => column < 2 || rows.some((row) => row[column] !== '–'))
  const shown = [headings, ...rows].map((row) => row.filter((_, column) => used[column]))
  const widths = (shown[0] ?? []).map((_, column) => Math.max(...shown.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => pad(cell, widths[column] ?? 0, column < 2)).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  const [head, ...body] = shown
  return [line(head ?? []), rule, ...body.map(line)].join('\n')
}

function cells(summary: Summary, rival: Summary | null): string[] {
  const isFailed = summary.problems.length > 0
  return [
    summary.row,
    isFailed ? `${summary.target} (!)` : summary.target,
    formatSpread(summary.published, formatCount),
    formatSpread(summary.delivered, formatCount),
    ratio(summary, rival),
    formatPercentiles(summary.deliverLatency),
    formatPercentiles(summary.confirmLatency),
    formatPercentiles(summary.quietLatency),
    formatSpread(summary.brokerCores, (value) => value.toFixed(2)),
    formatSpread(summary.microsPerMessage, (value) => value.toFixed(2)),
    formatSpread(summary.rssBytes, formatMegabytes),
    summary.gcLongestMs === null ? '–' : formatMs(summary.gcLongestMs),
    summary.loopLongestMs === null ? '–' : formatMs(summary.loopLongestMs),
    summary.loopBusiestMs === null ? '–' : formatMs(summary.loopBusiestMs),
    formatSpread(summary.heldBytes, (value) => (value / 1e6).toFixed(1)),
    formatSpread(summary.reopenMs, formatMs),
    formatSpread(summary.generatorCores, (value) => value.toFixed(2)),
  ]
}

/** The first broker of a row is compared with the second; the second stands for 1. */
function rivalOf(summary: Summary, summaries: readonly Summary[]): Summary | null {
  const row = summaries.filter((other) => other.row === summary.row)
  return row[0] === summary ? (row[1] ?? null) : null
}

function ratio(summary: Summary, rival: Summary | null): string {
  const own = rateOf(summary)
  const other = rival === null ? null : rateOf(rival)
  return own === null || other === null || other === 0 ? '–' : `${(own / other).toFixed(1)}×`
}

function pad(text: string, width: number, isLeft: boolean): string {
  return isLeft ? text.padEnd(width) : text.padStart(width)
}
