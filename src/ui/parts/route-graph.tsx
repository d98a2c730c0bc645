/**
 * A picture of how messages get from place to place: three columns of boxes, and lines between them with the keys that
 * open the way. The tables beside it say the same in words.
 */
import type { JSX } from 'preact'
import { visible } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { linkTo } from '../core/route.ts'

export interface Box {
  readonly id: string
  readonly label: string
  /** What it is, as a small word above it. */
  readonly kind: string
  /** Where its page is. */
  readonly to?: readonly string[]
}

export interface Wire {
  readonly from: string
  readonly to: string
  readonly label: string
}

interface RouteGraphProps {
  readonly title: Key
  readonly left: readonly Box[]
  readonly here: Box
  readonly right: readonly Box[]
  readonly wires: readonly Wire[]
}

const boxWidth = 180
const boxHeight = 40
const gap = 14
const width = 900
/** Between the middle and where lines are straight. */
const bendWidth = 44
/** Boxes of one column; those beyond are counted. */
const boxesMax = 12
/** Characters that fit. */
const labelMax = 23
const keyMax = 16

interface Placed extends Box {
  readonly x: number
  readonly y: number
}

export function RouteGraph({ title, left, here, right, wires }: RouteGraphProps): JSX.Element {
  const rows = Math.max(1, Math.min(boxesMax + 1, Math.max(shownOf(left).length, shownOf(right).length)))
  const height = rows * (boxHeight + gap) + gap
  const placed = new Map<string, Placed>()
  for (const [boxes, x] of [
    [shownOf(left), 1],
    [[here], (width - boxWidth) / 2],
    [shownOf(right), width - boxWidth - 1],
  ] as const) {
    const top = (height - boxes.length * (boxHeight + gap) + gap) / 2
    boxes.forEach((box, index) => placed.set(box.id, { ...box, x, y: top + index * (boxHeight + gap) }))
  }
  // A column that nothing stands in takes no room.
  const start = left.length === 0 ? (width - boxWidth) / 2 - 1 : 0
  const end = right.length === 0 ? (width + boxWidth) / 2 + 1 : width
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must be able to
    <section class="scroll" aria-label={t(title)} tabIndex={0}>
      <svg
        class="graph"
        viewBox={`${start} 0 ${end - start} ${height}`}
        style={{ minWidth: `${(end - start) * 0.7}px`, maxWidth: `${end - start}px` }}
        role="img"
        aria-label={t(title)}
      >
        {merged(wires).map((wire) => (
          <WireLine
            key={`${wire.from} ${wire.to}`}
            from={placed.get(wire.from)}
            to={placed.get(wire.to)}
            label={wire.label}
          />
        ))}
        {[...placed.values()].map((box) => (
          <BoxShape key={box.id} box={box} isHere={box.id === here.id} />
        ))}
      </svg>
    </section>
  )
}

function shownOf(boxes: readonly Box[]): readonly Box[] {
  if (boxes.length <= boxesMax + 1) return boxes
  const more = { id: 'more', kind: '', label: t('andMore', { count: boxes.length - boxesMax }) }
  return [...boxes.slice(0, boxesMax), more]
}

/** Several bindings between two places are one line. */
function merged(wires: readonly Wire[]): Wire[] {
  const byEnds = new Map<string, { wire: Wire; count: number }>()
  for (const wire of wires) {
    const key = `${wire.from} ${wire.to}`
    const known = byEnds.get(key)
    byEnds.set(key, { wire: known?.wire ?? wire, count: (known?.count ?? 0) + 1 })
  }
  return [...byEnds.values()].map(({ wire, count }) =>
    count === 1 ? wire : { ...wire, label: `${cut(wire.label, keyMax - 4)} +${count - 1}` },
  )
}

function cut(text: string, max: number): string {
  const shown = [...visible(text.slice(0, 300))]
  return shown.length <= max ? shown.join('') : `${shown.slice(0, max - 1).join('')}…`
}

interface WireLineProps {
  readonly from: Placed | undefined
  readonly to: Placed | undefined
  readonly label: string
}

/** Straight at the outer end, where its key stands, and bent before the middle. */
function WireLine({ from, to, label }: WireLineProps): JSX.Element | null {
  if (from === undefined || to === undefined) return null
  const start = { x: from.x + boxWidth, y: from.y + boxHeight / 2 }
  const end = { x: to.x, y: to.y + boxHeight / 2 }
  const isOnLeft = from.x === 1
  const path = isOnLeft
    ? `M${start.x} ${start.y}H${end.x - bendWidth}C${end.x - 12} ${start.y} ${end.x - 32} ${end.y} ${end.x} ${end.y}`
    : `M${start.x} ${start.y}C${start.x + 32} ${start.y} ${start.x + 12} ${end.y} ${start.x + bendWidth} ${end.y}H${end.x}`
  const text = cut(label, keyMax)
  const keyWidth = text.length * 7.4 + 12
  const x = isOnLeft ? (start.x + end.x - bendWidth) / 2 : (start.x + bendWidth + end.x) / 2
  const y = isOnLeft ? start.y : end.y
  return (
    <g>
      <path class="wire" d={path} />
      {text !== '' && (
        <g class="key">
          <rect x={x - keyWidth / 2} y={y - 10} width={keyWidth} height={20} rx={10} />
          <text x={x} y={y + 4} text-anchor="middle">
            {text}
          </text>
        </g>
      )}
    </g>
  )
}

function BoxShape({ box, isHere }: { box: Placed; isHere: boolean }): JSX.Element {
  const { x, y, kind, label, to } = box
  const shape = (
    <g class={isHere ? 'here' : ''}>
      <title>{visible(label)}</title>
      <rect x={x} y={y} width={boxWidth} height={boxHeight} rx={8} />
      <text x={x + 12} y={y + 16} font-size="11">
        {kind}
      </text>
      <text x={x + 12} y={y + 31}>
        {cut(label, labelMax)}
      </text>
    </g>
  )
  return to === undefined || isHere ? shape : <a href={linkTo(to)}>{shape}</a>
}
