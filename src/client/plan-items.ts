/** What a plan consists of, and how it reads. */
import type { Definition } from './topology.ts'

/** One property or argument that is not as wanted; null is not there. */
export interface Difference {
  /** `durable`, `type` and the like, or the name of an argument. */
  readonly name: string
  readonly current: string | null
  readonly wanted: string | null
}

/** What was found out about one definition. */
export type Finding =
  /** It is not there. */
  | { readonly state: 'create' }
  | { readonly state: 'same' }
  | { readonly state: 'differs'; readonly differences: readonly Difference[] }
  /** The broker does not tell, for this reason. */
  | { readonly state: 'unknown'; readonly reason: string }

export type PlanItem = Finding & {
  /** As `queue 'orders'`. */
  readonly what: string
  readonly definition: Definition
}

/** What exists beside what shall exist. Changes nothing by itself. */
export class Plan {
  readonly items: readonly PlanItem[]

  constructor(items: readonly PlanItem[]) {
    this.items = items
  }

  /** Nothing is missing, and nothing differs as far as the broker tells. */
  get isDone(): boolean {
    return this.items.every(({ state }) => state === 'same' || state === 'unknown')
  }

  get differing(): readonly (PlanItem & { readonly state: 'differs' })[] {
    return this.items.filter((item) => item.state === 'differs')
  }

  /** A line for each item, and their numbers. */
  toString(): string {
    const count = (state: PlanItem['state']): number => this.items.filter((item) => item.state === state).length
    const sums = `${count('create')} to create, ${count('same')} same, ${count('differs')} different, ${count('unknown')} unknown`
    return [...this.items.map(lineOf), sums].join('\n')
  }
}

const signs = { create: '+', same: '=', differs: '~', unknown: '?' } as const

function lineOf(item: PlanItem): string {
  const line = `${signs[item.state]} ${item.what}`
  if (item.state === 'differs') return `${line}: ${differencesText(item.differences)}`
  return item.state === 'unknown' ? `${line}: ${item.reason}` : line
}

export function differencesText(differences: readonly Difference[]): string {
  return differences
    .map(({ name, current, wanted }) => `${name} is ${current ?? 'not set'}, wanted ${wanted ?? 'not set'}`)
    .join('; ')
}
