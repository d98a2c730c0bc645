import type { Percentiles } from '../stats/histogram.ts'
import type { Spread } from '../stats/spread.ts'

/** Numbers as people read them: three figures that matter, and a unit. */
export function formatCount(value: number): string {
  if (value >= 1e6) return `${figures(value / 1e6)} M`
  if (value >= 1e4) return `${figures(value / 1e3)} k`
  return figures(value)
}

export function formatMs(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)
}

export function formatMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}

export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/** The median, and the ends where there are several runs. */
export function formatSpread(spread: Spread | null, format: (value: number) => string): string {
  if (spread === null) return '–'
  const median = format(spread.median)
  return spread.runs === 1 ? median : `${median} (${format(spread.min)}–${format(spread.max)})`
}

export function formatPercentiles(latency: Percentiles | null): string {
  if (latency === null) return '–'
  return [latency.p50, latency.p99, latency.p999].map(formatMs).join(' / ')
}

function figures(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
