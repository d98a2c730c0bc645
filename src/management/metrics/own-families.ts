/** Metrics that RabbitMQ has not: how the log and the process are doing. */
import type { ApiParts } from '../api/route.ts'
import { bucketSamples, type Family, type Sample, single } from './family.ts'
import type { NodeReadings } from './readings.ts'

export function* ownFamilies(
  { runQueue, broker, tracer = null }: ApiParts,
  { process, io }: NodeReadings,
): Generator<Family> {
  const gauge = (name: string, help: string, value: number): Family => single('gauge', `warren_${name}`, help, value)
  const counter = (name: string, help: string, value: number): Family =>
    single('counter', `warren_${name}`, help, value)
  if (io !== null) {
    yield {
      name: 'warren_log_commit_seconds',
      type: 'histogram',
      help: 'Time from sending off a batch of records until it is on stable storage',
      samples: bucketSamples(io.commitSeconds),
    }
    yield {
      name: 'warren_log_commit_bytes',
      type: 'histogram',
      help: 'Size of those batches',
      samples: bucketSamples(io.commitBytes),
    }
    yield gauge('log_last_commit_timestamp_seconds', 'When the last batch was stored', io.lastCommitAt / 1_000)
  }
  yield gauge(
    'publish_gate_open',
    'Publishers are read: no alarm, and the log is not behind',
    Number(broker.publishGate === 'open'),
  )
  yield counter(
    'logins_throttled_total',
    'Logins refused without a look at the proof, for too many had failed',
    broker.throttle.refusals,
  )
  yield counter('login_answers_delayed_total', 'Answers to failed logins that were held back', broker.throttle.delays)
  if (tracer !== null) {
    yield counter('spans_exported_total', 'Spans of traced messages that the collector took', tracer.exported)
    yield counter('spans_dropped_total', 'Spans of traced messages that were not sent', tracer.dropped)
  }
  yield gauge('run_queue_tasks', 'Long pieces of work that take turns just now', runQueue.length)
  const { median, p99, max } = process.loopDelaySeconds
  yield gauge('event_loop_delay_median_seconds', 'How late timers came since the last scrape', median)
  yield gauge('event_loop_delay_p99_seconds', 'The same for the latest hundredth', p99)
  yield gauge('event_loop_delay_max_seconds', 'The same for the latest', max)
  yield counter('event_loop_busy_seconds_total', 'Time in which the event loop did not wait', process.loopBusySeconds)
  yield counter('cpu_user_seconds_total', 'Processor time of the program', process.userSeconds)
  yield counter('cpu_system_seconds_total', 'Processor time of the system for the program', process.systemSeconds)
  yield gauge('heap_used_bytes', 'JavaScript heap in use', process.heapUsedBytes)
  yield gauge('heap_size_bytes', 'JavaScript heap, used or not', process.heapTotalBytes)
  yield gauge('external_memory_bytes', 'Buffers outside of the heap', process.externalBytes)
  const { collections } = process
  const each = (value: (one: { count: number; seconds: number }) => number): Sample[] =>
    [...collections].map(([kind, one]) => [{ kind }, value(one)])
  const help = 'Garbage collections since the first scrape'
  yield { name: 'warren_gc_collections_total', type: 'counter', help, samples: each(({ count }) => count) }
  const timeHelp = 'Time they took'
  yield { name: 'warren_gc_seconds_total', type: 'counter', help: timeHelp, samples: each(({ seconds }) => seconds) }
}
