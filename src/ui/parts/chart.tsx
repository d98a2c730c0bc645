/** A chart over time, drawn by uPlot, with a legend that says the newest values, or those under the pointer. */
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { bytes, clock, rate, short } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { details, levelsOf, ratesOf, type Stats } from '../core/samples.ts'
import { isDark } from '../core/theme.ts'
import { now } from '../core/time.ts'

export interface Line {
  readonly name: Key
  /** A colour of the theme, as `in`. */
  readonly colour: string
  readonly values: readonly (number | null)[]
}

interface ChartProps {
  readonly title: Key
  /** In milliseconds since 1970, rising. */
  readonly times: readonly number[]
  /** How far back the chart reaches, in seconds, whether or not something is known of then. */
  readonly age: number
  readonly lines: readonly Line[]
  readonly show: (value: number) => string
}

const heightPx = 180
/** Of the axis: 1, 2, 5, 10, … */
const steps = Array.from({ length: 36 }, (_, index) => ([1, 2, 5][index % 3] ?? 1) * 10 ** Math.floor(index / 3))
const byteSteps = Array.from({ length: 50 }, (_, index) => 2 ** index)

/** Of the axis of time, in seconds: what clocks count by. */
const timeSteps = [60, 120, 300, 600, 1_200, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400]

export function Chart({ title, times, age, lines, show }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [at, setAt] = useState<number | null>(null)
  const dark = isDark.value
  const key = lines.map(({ name }) => name).join()
  useEffect(() => {
    const element = place.current
    if (element === null) return
    const made = new uPlot(
      optionsOf({ lines, show, age, width: element.clientWidth, setAt }),
      dataOf(times, lines),
      element,
    )
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [dark, key, age])
  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines])
  const shownAt = at !== null && at < times.length ? at : times.length - 1
  return (
    <section class="card" aria-label={t(title)}>
      <header>
        <h2>{t(title)}</h2>
        <span class="muted mono">{times.length === 0 ? t('noHistory') : clock(times[shownAt] ?? 0)}</span>
      </header>
      <ul class="legend">
        {lines.map(({ name, colour, values }) => (
          <li key={name}>
            <span class={`swatch c-${colour}`} aria-hidden="true" />
            {t(name)} <b>{show(values[shownAt] ?? 0)}</b>
          </li>
        ))}
      </ul>
      <div class="chart" ref={place} aria-hidden="true" />
    </section>
  )
}

/** What is counted, and how its line looks. Rare ones are left out where there are none. */
export type Count = readonly [count: string, name: Key, colour: string, isRare?: boolean]

/** Of messages that come and go. */
export const messageCounts: readonly Count[] = [
  ['publish', 'published', 'in'],
  ['deliver_get', 'delivered', 'out'],
  ['ack', 'acknowledged', 'ack'],
  ['redeliver', 'again', 'unacked', true],
  ['return_unroutable', 'returned', 'ready', true],
  ['drop_unroutable', 'unroutable', 'bad', true],
]

interface RatesChartProps {
  readonly stats: Stats | undefined
  readonly age: number
  readonly counts?: readonly Count[]
  readonly title?: Key
  readonly show?: (value: number) => string
}

/** How fast counts grew. */
export function RatesChart({ stats, age, ...props }: RatesChartProps): JSX.Element {
  const { counts = messageCounts, title = 'ratesTitle', show = rate } = props
  const courses = counts.map(([count]) => ratesOf(details(stats, count)))
  const lines = counts.flatMap(([, name, colour, isRare], index) => {
    const values = courses[index]?.values ?? []
    return isRare && !values.some((value) => value > 0) ? [] : [{ name, colour, values }]
  })
  return <Chart title={title} show={show} age={age} times={courses[0]?.times ?? []} lines={lines} />
}

const depths: readonly Count[] = [
  ['messages_ready', 'ready', 'ready'],
  ['messages_unacknowledged', 'unacked', 'unacked'],
]

/** How many messages wait, and how many are with consumers. */
export function DepthChart({ of, age }: { of: Stats | undefined; age: number }): JSX.Element {
  return <LevelsChart title="depthTitle" stats={of} age={age} counts={depths} show={short} />
}

export function LevelsChart({ title, stats, age, counts, show }: Required<RatesChartProps>): JSX.Element {
  const courses = counts.map(([count]) => levelsOf(details(stats, count)))
  const lines = counts.map(([, name, colour], index) => ({ name, colour, values: courses[index]?.values ?? [] }))
  return <Chart title={title} show={show} age={age} times={courses[0]?.times ?? []} lines={lines} />
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [times.map((ms) => ms / 1000), ...lines.map(({ values }) => [...values])] as uPlot.AlignedData
}

/** Up to the newest sample; uPlot would make a range of its own of a single one. */
function reachOf(times: ArrayLike<number>, age: number): [number, number] {
  const last = times[times.length - 1] ?? now() / 1000
  return [last - age, last]
}

interface Look extends Pick<ChartProps, 'lines' | 'show' | 'age'> {
  readonly width: number
  /** Says which value the pointer is at. */
  readonly setAt: (index: number | null) => void
}

function optionsOf({ lines, show, age, width, setAt }: Look): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
  }
  return {
    width,
    height: heightPx,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    padding: [8, 18, 0, 0],
    scales: {
      x: { time: false, range: ({ data: [times] }) => reachOf(times, age) },
      y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        incrs: timeSteps,
        grid: { show: false },
        values: (_plot, ticks) => ticks.map((at) => clock(at * 1000).slice(0, 5)),
      },
      { ...axis, size: 58, incrs: show === bytes ? byteSteps : steps, values: (_plot, ticks) => ticks.map(show) },
    ],
    series: [
      {},
      ...lines.map((line, index) => ({
        stroke: colour(line.colour),
        width: 2,
        points: { show: false },
        ...(index === 0 ? { fill: `${colour(line.colour)}1f` } : {}),
      })),
    ],
    hooks: { setCursor: [(plot) => setAt(plot.cursor.idx ?? null)] },
  }
}
