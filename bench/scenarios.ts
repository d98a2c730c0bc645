import { heldRows } from './held-rows.ts'
import type { Options } from './options.ts'
import type { Row } from './row.ts'

const base: Row = {
  name: '',
  kind: 'flow',
  bodyBytes: 16,
  isPersistent: false,
  queues: 1,
  publishers: 1,
  consumers: 1,
  isFanout: false,
  pack: 64,
  confirmWindow: 0,
  ackEvery: 0,
  prefetchCount: 2000,
  leadMax: 100_000,
  rate: 0,
  messages: 0,
  hasQuietConnection: false,
  held: null,
}

const persistent: Row = { ...base, bodyBytes: 1024, isPersistent: true, confirmWindow: 1000, ackEvery: 100 }
const single: Row = { ...base, pack: 1, publishers: 4, consumers: 4 }
const fanout: Row = { ...base, bodyBytes: 100, isFanout: true, confirmWindow: 1000, hasQuietConnection: true }

const backlog: Row = { ...persistent, bodyBytes: 100, confirmWindow: 10_000, leadMax: 0, messages: 1e6 }

/** What each scenario consists of. */
export const scenarios: Readonly<Record<string, readonly Row[]>> = {
  'transient-16': [{ ...base, name: 'transient-16' }],
  'persistent-1k': [{ ...persistent, name: 'persistent-1k' }],
  single: [
    { ...single, name: 'single-transient' },
    { ...single, name: 'single-persistent', isPersistent: true, confirmWindow: 1000, ackEvery: 100 },
  ],
  latency: [{ ...persistent, name: 'latency', rate: 20_000, ackEvery: 10, leadMax: 0 }],
  backlog: [{ ...backlog, name: 'backlog', kind: 'backlog' }],
  held: heldRows({ ...backlog, kind: 'held', hasQuietConnection: true }),
  fanout: [1, 10, 100, 1000].map((queues) => ({ ...fanout, name: `fanout-${queues}`, queues })),
  'queues-10x10': [{ ...persistent, name: 'queues-10x10', queues: 10, publishers: 10, consumers: 10 }],
}

/** The rows to measure, with the options' overrides. Throws when a scenario is not known. */
export function chooseRows(options: Options): Row[] {
  const names = options.scenarios.length === 0 ? ordinary() : options.scenarios
  return names.flatMap((name) => {
    const rows = scenarios[name] ?? Object.values(scenarios).flatMap((all) => all.filter((row) => row.name === name))
    if (rows.length === 0) {
      throw new Error(`no scenario '${name}'; there are ${Object.keys(scenarios).join(', ')}`)
    }
    return rows.map((row) => override(row, options))
  })
}

/** All but `held`, which takes many minutes. */
function ordinary(): string[] {
  return Object.keys(scenarios).filter((name) => name !== 'held')
}

function override(row: Row, options: Options): Row {
  const isConfirmed = row.confirmWindow > 0
  const ackEvery = row.ackEvery > 0 ? (options.ackEvery ?? row.ackEvery) : 0
  const prefetchCount = options.prefetchCount ?? row.prefetchCount
  if (ackEvery > 0 && prefetchCount > 0 && prefetchCount < ackEvery) {
    throw new Error(`--prefetch ${prefetchCount} is less than --ack-every ${ackEvery}: consumers would wait for ever`)
  }
  return {
    ...row,
    bodyBytes: options.bodyBytes ?? row.bodyBytes,
    isPersistent: options.isPersistent ?? row.isPersistent,
    publishers: options.publishers ?? row.publishers,
    // Each connection of a fanout has queues of its own.
    consumers: Math.min(options.consumers ?? row.consumers, row.isFanout ? row.queues : Number.POSITIVE_INFINITY),
    pack: row.pack === 1 ? 1 : (options.pack ?? row.pack),
    confirmWindow: isConfirmed ? (options.confirmWindow ?? row.confirmWindow) : 0,
    ackEvery,
    prefetchCount,
    leadMax: row.leadMax === 0 ? 0 : options.leadMax,
    rate: row.rate === 0 ? 0 : (options.rate ?? row.rate),
    messages: row.kind === 'flow' ? 0 : (options.messages ?? row.messages),
    hasQuietConnection: row.hasQuietConnection || options.hasQuietConnection,
  }
}
