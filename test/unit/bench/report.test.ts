import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseCount, parseOptions } from '../../../bench/options.ts'
import { formatCount, formatDuration, formatSpread } from '../../../bench/report/format.ts'
import { Progress } from '../../../bench/report/progress.ts'
import { summarise } from '../../../bench/report/summary.ts'
import { renderTable } from '../../../bench/report/table.ts'
import { consumeJobs, publishJobs, shares } from '../../../bench/row-jobs.ts'
import { findFaults, type RunResult } from '../../../bench/run-result.ts'
import { chooseRows } from '../../../bench/scenarios.ts'
import { Histogram } from '../../../bench/stats/histogram.ts'
import { spread } from '../../../bench/stats/spread.ts'
import { parseGcLog } from '../../../bench/target/gc-log.ts'
import { parseHeldBytes, parseLoopLog } from '../../../bench/target/loop-log.ts'
import { parseListeners, parseStat, processTree } from '../../../bench/target/proc.ts'

const result: RunResult = {
  seconds: 5,
  publishedPerSecond: 100,
  deliveredPerSecond: 100,
  deliverLatency: null,
  confirmLatency: null,
  quietLatency: null,
  broker: null,
  generatorCores: 0.1,
  gc: null,
  loop: null,
  heldBytes: null,
  reopenMs: null,
  blockedMs: 0,
  problems: [],
}

describe('histograms', () => {
  it('give percentiles at most one part in 64 too high, and never too low', () => {
    const values = Array.from({ length: 10_000 }, (_, index) => 0.001 * Math.ceil(1.0013 ** index))
    const histogram = new Histogram()
    for (const value of values) histogram.add(value)
    for (const share of [0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1] ?? 0
      const shown = histogram.percentile(share)
      assert.ok(shown >= exact - 1e-9 && shown <= exact * (1 + 1 / 64) + 1e-9, `${share}: ${shown} for ${exact}`)
    }
  })

  it('are exact up to 64 µs', () => {
    const histogram = new Histogram()
    for (let micros = 1; micros <= 60; micros++) histogram.add(micros / 1000)
    assert.equal(histogram.percentile(0.5), 0.03)
    assert.equal(histogram.percentile(1), 0.06)
  })

  it('take what is out of range as the nearest end', () => {
    const histogram = new Histogram()
    histogram.add(-5)
    histogram.add(1e12)
    assert.equal(histogram.percentile(0.5), 0)
    assert.ok(histogram.percentile(1) > 4_294_000)
  })

  it('merge, also by way of another thread', () => {
    const left = new Histogram()
    const right = new Histogram()
    left.add(1)
    right.add(2)
    right.add(3)
    left.merge(new Histogram(structuredClone(right.counts)))
    assert.equal(left.count, 3)
    assert.ok(Math.abs(left.percentile(0.5) - 2) < 0.04)
  })

  it('have no percentiles while empty', () => {
    assert.equal(new Histogram().percentiles(), null)
  })
})

describe('spreads', () => {
  it('are the middle and the ends', () => {
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3, runs: 3 })
    assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4, runs: 4 })
    assert.equal(spread([]), null)
  })
})

describe('options', () => {
  it('have defaults', () => {
    const options = parseOptions([])
    assert.equal(options?.seconds, 5)
    assert.equal(options?.runs, 3)
    assert.equal(options?.url, null)
    assert.deepEqual(
      chooseRows(options ?? assert.fail()).map((row) => row.name),
      [
        'transient-16',
        'persistent-1k',
        'single-transient',
        'single-persistent',
        'latency',
        'backlog',
        'fanout-1',
        'fanout-10',
        'fanout-100',
        'fanout-1000',
        'queues-10x10',
      ],
    )
  })

  it('override what the scenarios say, where it means something there', () => {
    const options = parseOptions([
      '--size',
      '2k',
      '--pack',
      '8',
      '--window',
      '50',
      '--messages',
      '10M',
      'single',
      'backlog',
    ])
    const rows = chooseRows(options ?? assert.fail())
    assert.deepEqual(
      rows.map((row) => [row.name, row.bodyBytes, row.pack, row.confirmWindow, row.messages]),
      [
        ['single-transient', 2000, 1, 0, 0],
        ['single-persistent', 2000, 1, 50, 0],
        ['backlog', 2000, 8, 50, 10_000_000],
      ],
    )
  })

  it('take a single row by its own name', () => {
    const rows = chooseRows(parseOptions(['fanout-100']) ?? assert.fail())
    assert.deepEqual(
      rows.map((row) => [row.name, row.queues]),
      [['fanout-100', 100]],
    )
  })

  for (const [args, message] of [
    [['--seconds', '0'], /--seconds wants a number from 1/],
    [['--runs', 'many'], /--runs wants a number/],
    [['--size', '15'], /--size wants a number from 16/],
    [['--url', 'http://x'], /amqp:\/\//],
    [['--persistent', '--transient'], /exclude/],
    [['--rabbitmq', '--against', 'amqp://x'], /exclude/],
    [['--nonsense'], /nonsense/],
  ] as const) {
    it(`refuse ${args.join(' ')}`, () => {
      assert.throws(() => parseOptions(args), message)
    })
  }

  it('refuse a prefetch that would starve the acknowledgements, and unknown scenarios', () => {
    assert.throws(() => chooseRows(parseOptions(['--prefetch', '50', 'persistent-1k']) ?? assert.fail()), /for ever/)
    assert.throws(() => chooseRows(parseOptions(['nonsense']) ?? assert.fail()), /no scenario 'nonsense'; there are/)
  })

  it('read k and M', () => {
    assert.equal(parseCount('x', '1.5k', 1, 1e9), 1500)
    assert.equal(parseCount('x', '2M', 1, 1e9), 2_000_000)
    assert.throws(() => parseCount('x', '1G', 1, 1e12))
  })
})

describe('jobs', () => {
  const address = { host: 'h', port: 1, user: 'u', password: 'p', vhost: '/' }
  const options = { address, runId: 1, frameBytesMax: 4096, threads: 1 }
  const rowOf = (...args: string[]) => chooseRows(parseOptions(args) ?? assert.fail())[0] ?? assert.fail()
  const topology = (queues: number, exchange = '') => ({
    queues: Array.from({ length: queues }, (_, index) => `q${index}`),
    exchange,
  })

  it('give each of ten queues a publisher and a consumer of its own', () => {
    const row = rowOf('queues-10x10')
    const publish = publishJobs(row, topology(10), options)
    const consume = consumeJobs(row, topology(10), options)
    assert.deepEqual(
      publish.map((job) => job.routingKey),
      topology(10).queues,
    )
    assert.deepEqual(
      consume.flatMap((job) => job.queues),
      topology(10).queues,
    )
    assert.ok(consume.every((job) => job.isAlone))
  })

  it('let four consumers share one queue', () => {
    const consume = consumeJobs(rowOf('single'), topology(1), options)
    assert.deepEqual(
      consume.map((job) => [job.queues, job.isAlone]),
      Array(4).fill([['q0'], false]),
    )
  })

  it('spread the queues of a fanout over the consumers and give room for two packs', () => {
    const row = rowOf('--consumers', '3', '--lead', '1', 'fanout-10')
    const consume = consumeJobs(row, topology(10, 'x'), options)
    assert.deepEqual(consume.flatMap((job) => job.queues).sort(), [...topology(10).queues].sort())
    const [publish] = publishJobs(row, topology(10, 'x'), options)
    assert.deepEqual([publish?.exchange, publish?.copies, publish?.leadMax], ['x', 10, 1280])
  })

  it('share a backlog among publishers to the last message', () => {
    const publish = publishJobs(rowOf('--messages', '10', '--publishers', '3', 'backlog'), topology(1), options)
    assert.deepEqual(
      publish.map((job) => job.messagesMax),
      [4, 3, 3],
    )
  })

  it('are dealt to as many threads of each side as there may be', () => {
    const row = rowOf('queues-10x10')
    const dealt = shares(publishJobs(row, topology(10), options), consumeJobs(row, topology(10), options), 3)
    assert.deepEqual(
      dealt.map((share) => [share.publish.length, share.consume.length]),
      [
        [4, 0],
        [3, 0],
        [3, 0],
        [0, 4],
        [0, 3],
        [0, 3],
      ],
    )
  })
})

describe('faults', () => {
  const outcome = {
    deliverLatency: new Histogram(),
    confirmLatency: new Histogram(),
    deliveredSequences: 30,
    sentSequences: 10,
    nacked: 0,
    redelivered: 0,
    blockedMs: 0,
    problems: [],
  }

  it('are none when all came', () => {
    assert.deepEqual(findFaults({ due: 15, came: 15, copies: 3 }, outcome), [])
  })

  it('are lost, repeated, refused and redelivered messages', () => {
    assert.match(findFaults({ due: 15, came: 14, copies: 3 }, outcome)[0] ?? '', /15 deliveries were due and 14 came/)
    assert.match(findFaults({ due: 15, came: 15, copies: 2 }, outcome)[0] ?? '', /not the same ones/)
    assert.equal(findFaults({ due: 15, came: 15, copies: 3 }, { ...outcome, nacked: 1, redelivered: 2 }).length, 2)
  })
})

describe('what Linux says of processes', () => {
  it('is read from a stat line, also with a name full of parentheses', () => {
    const fields = ['S', '7', ...Array(9).fill('0'), '120', '30', ...Array(8).fill('0'), '2560', '0']
    const stat = parseStat(`42 (a) b (c) ${fields.join(' ')}`)
    assert.deepEqual(stat, { pid: 42, parent: 7, cpuTicks: 150, residentPages: 2560 })
    assert.equal(parseStat('nonsense'), null)
  })

  it('names the sockets that listen on a port', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100',
      '   1: 0100007F:1628 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100',
      '   2: 0100007F:1629 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100',
    ].join('\n')
    assert.deepEqual(parseListeners(text, 0x1628), ['111'])
  })

  it('gathers a process and all below it, in whatever order they are listed', () => {
    const stat = (pid: number, parent: number) => ({ pid, parent, cpuTicks: 0, residentPages: 0 })
    const all = [stat(5, 4), stat(4, 2), stat(3, 1), stat(2, 1), stat(1, 0)]
    assert.deepEqual(
      processTree(all, 2)
        .map(({ pid }) => pid)
        .sort(),
      [2, 4, 5],
    )
    assert.deepEqual(processTree(all, 9), [])
  })

  it('includes garbage collections of the measured time only', () => {
    const text = '99.000 50.0 major\n100.000 1.5 minor\n150.000 2.5 major\n200.000 9.0 minor\n15'
    assert.deepEqual(parseGcLog(text, 100, 200), { count: 2, totalMs: 4, longestMs: 2.5 })
  })
})

describe('the table', () => {
  const run = (perSecond: number): RunResult => ({ ...result, deliveredPerSecond: perSecond })

  it('shows medians with their spread, and the first broker against the second', () => {
    const summaries = [
      summarise('row', 'Ours', [run(300), run(200), run(250)]),
      summarise('row', 'Theirs', [run(50), run(50), run(50)]),
    ]
    const [head, rule, ours, theirs] = renderTable(summaries).split('\n')
    assert.match(head ?? '', /scenario .* delivered\/s .* ratio/)
    assert.match(rule ?? '', /^\|-+\|/)
    assert.match(ours ?? '', /250 \(200–300\) .* 5\.0× /)
    assert.match(theirs ?? '', /50\.0 \(50\.0–50\.0\)/)
    assert.equal(new Set([head, rule, ours, theirs].map((line) => line?.length)).size, 1)
  })

  it('leaves columns out that nobody fills', () => {
    assert.doesNotMatch(renderTable([summarise('row', 'Ours', [run(1)])]), /RSS|ratio|GC/)
  })

  it('does not count unsound runs, and marks them', () => {
    const summary = summarise('row', 'Ours', [run(100), { ...run(900), problems: ['lost one'] }])
    assert.equal(summary.delivered?.max, 100)
    assert.match(renderTable([summary]), /Ours \(!\)/)
    assert.deepEqual(summary.problems, ['lost one'])
  })

  it('writes numbers with three figures', () => {
    assert.deepEqual([1_234_567, 98_765, 4321, 31.94, 0].map(formatCount), ['1.23 M', '98.8 k', '4321', '31.9', '0.00'])
    assert.equal(formatDuration(125), '2 min 5 s')
    assert.equal(formatSpread(null, String), '–')
  })
})

describe('progress', () => {
  const record = (isTTY: boolean) => {
    const written: string[] = []
    const out = { isTTY, columns: 40, write: (text: string | Uint8Array) => written.push(String(text)) > 0 }
    return { written, progress: new Progress(out, 100) }
  }

  it('writes one line over and over on a terminal, no wider than it', () => {
    const { written, progress } = record(true)
    progress.step('row · Warren')
    progress.update('x'.repeat(100))
    assert.ok(written.every((text) => text.startsWith('\r') && text.length <= 40 + 5))
    progress.done('fine', 10)
    assert.equal(written.at(-1), 'row · Warren: fine\n')
  })

  it('writes plain lines elsewhere, and not too many', () => {
    const { written, progress } = record(false)
    progress.step('row')
    for (let count = 0; count < 50; count++) progress.update('busy')
    progress.done('fine', 10)
    assert.deepEqual(written, ['row: fine\n'])
  })
})

describe("the log of the broker's loop", () => {
  it('is read for the time asked for, the lines about memory apart', () => {
    const text = '1000 5.500 2.000\n1100 12.000 3.000\n1150 memory 4096\n1200 0.100 9.000\n1300 80.000 80.000\n'
    assert.deepEqual(parseLoopLog(text, 1000, 1300), { longestMs: 12, long: 1, busiestMs: 9 })
    assert.equal(parseHeldBytes(text), 4096)
    assert.equal(parseHeldBytes('1000 5.500 2.000\n'), null)
  })
})
