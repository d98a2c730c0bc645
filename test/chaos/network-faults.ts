/**
 * Nodes that cannot hear each other, while clients reach all of them: a node that is cut off still has its publishers and
 * consumers, and believes what it last heard.
 */
import type { Dice } from '../crash/dice.ts'
import type { CutPorts, Direction } from '../support/cluster/node-networks.ts'
import type { Fault } from './fault.ts'

interface Cut {
  readonly directions: readonly Direction[]
  /** By index: of these nothing is asked as long as it lasts. */
  readonly out: readonly number[]
}

interface NetworkFault {
  readonly name: string
  readonly ports: CutPorts
  /** The others must serve everything, though it lasts. */
  readonly isTakenOver: boolean
  /** `order` are the indices of all nodes, mixed. */
  cut(order: readonly [number, number, number]): Cut
}

const all = { ports: 'all', isTakenOver: true } as const

export const networkFaults: readonly Fault[] = [
  fault({ ...all, name: 'node cut off', cut: ([one, ...others]) => away(one, others) }),
  fault({ ...all, name: 'node not heard', cut: ([one, ...others]) => ({ directions: to(one, others), out: [one] }) }),
  fault({ ...all, name: 'node deaf', cut: ([one, ...others]) => ({ directions: from(others, one), out: [one] }) }),
  fault({ ...all, name: 'server of a node cut off', ports: 'routes', cut: ([one, ...others]) => away(one, others) }),
  // Its session lasts and nobody reaches what it owns: it gives that over.
  fault({
    name: 'links of a node cut',
    ports: 'links',
    isTakenOver: true,
    cut: ([one, ...others]) => away(one, others),
  }),
  // Clients of both are served by the third.
  fault({
    name: 'link of two nodes cut',
    ports: 'links',
    isTakenOver: true,
    cut: ([one, other]) => ({ directions: [...to(one, [other]), ...to(other, [one])], out: [] }),
  }),
  fault({
    name: 'all links cut',
    ports: 'links',
    isTakenOver: false,
    cut: ([a, b, c]) => ({ directions: [...to(a, [b, c]), ...to(b, [a, c]), ...to(c, [a, b])], out: [a, b, c] }),
  }),
  // The third hears both, and neither is gone for it.
  fault({
    ...all,
    name: 'two nodes cut from each other',
    isTakenOver: false,
    cut: ([one, other]) => ({ directions: [...to(one, [other]), ...to(other, [one])], out: [one, other] }),
  }),
  fault({
    ...all,
    name: 'each node hears one other',
    isTakenOver: false,
    cut: ([a, b, c]) => ({ directions: [...to(a, [b]), ...to(b, [c]), ...to(c, [a])], out: [a, b, c] }),
  }),
  fault({
    ...all,
    name: 'all nodes cut from each other',
    isTakenOver: false,
    cut: ([a, b, c]) => ({ directions: [...to(a, [b, c]), ...to(b, [a, c]), ...to(c, [a, b])], out: [a, b, c] }),
  }),
]

function fault({ name, ports, isTakenOver, cut }: NetworkFault): Fault {
  return {
    name,
    needsNetworks: true,
    begin: async ({ nodes, networks }, dice) => {
      if (networks === null) throw new Error(`'${name}' takes networks of the nodes' own`)
      const { directions, out } = cut(mixed(dice))
      const mend = networks.cut(directions, ports)
      const detail = directions.map((one) => `${nodes[one.from]?.name}-/->${nodes[one.to]?.name}`).join(' ')
      return {
        nodes: nodes.filter((_, index) => out.includes(index)),
        isOut: true,
        isTakenOver,
        detail,
        heal: async () => mend(),
      }
    },
  }
}

function away(one: number, others: readonly number[]): Cut {
  return { directions: [...to(one, others), ...from(others, one)], out: [one] }
}

function to(one: number, others: readonly number[]): Direction[] {
  return others.map((other) => ({ from: one, to: other }))
}

function from(others: readonly number[], one: number): Direction[] {
  return others.map((other) => ({ from: other, to: one }))
}

function mixed(dice: Dice): [number, number, number] {
  const first = dice.between(0, 2)
  const step = dice.between(1, 2)
  return [first, (first + step) % 3, (first + 2 * step) % 3]
}
