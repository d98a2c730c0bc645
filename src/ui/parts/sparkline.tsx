/** A line the size of a word. It says nothing that is not written beside it. */
import type { JSX } from 'preact'

const width = 100
const height = 30

export function Sparkline({ of }: { of: readonly number[] }): JSX.Element | null {
  if (of.length < 2) return <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />
  const most = Math.max(...of, 1e-9)
  const step = width / (of.length - 1)
  const line = of
    .map((value, index) => `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${yOf(value, most)}`)
    .join('')
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="area" d={`${line}L${width} ${height}L0 ${height}Z`} />
      <path d={line} />
    </svg>
  )
}

function yOf(value: number, most: number): string {
  return (height - 1 - (Math.max(0, value) / most) * (height - 3)).toFixed(1)
}
