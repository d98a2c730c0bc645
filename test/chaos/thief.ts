/**
 * A program that does what an operator must never do: it writes who owns a shard into the nodes' own store. Run where a
 * node runs, with that node's login to its NATS server.
 *
 *   node thief.js NATS-SERVER.CONF KIND NUMBER     prints what stood there, and what it wrote
 *
 * The `NUMBER`th lease is taken (counted around), and given as `KIND` says; the rest of what it needs it finds itself.
 */
import { readFileSync } from 'node:fs'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import type { Theft } from './theft-fault.ts'

interface Lease {
  readonly node: string | null
  readonly incarnation: number
  readonly epoch: number
  readonly since: number
  readonly avoid: readonly number[]
}

const timeoutMs = 5_000
const bucket = 'warren-warren'

const [configFile = '', kind = '', number = '0'] = process.argv.slice(2)
const config = readFileSync(configFile, 'utf8')
const connection = await connect({
  servers: /^listen: "(.*)"$/m.exec(config)?.[1] ?? '',
  user: 'warren',
  pass: /user: warren, password: "(.*?)"/.exec(config)?.[1] ?? '',
  timeout: timeoutMs,
  reconnect: false,
})
const kv = await new Kvm(jetstream(connection, { timeout: timeoutMs })).open(bucket)
const keys = (await keysOf(kv, 'lease.>')).sort()
const key = keys[Number(number) % keys.length] ?? ''
const entry = await kv.get(key)
if (entry === null) throw new Error(`nothing stands under '${key}'`)
const before: Lease = leaseOf(entry.string())
const after = await stolen(kv, before, kind as Theft)
if (after === null) await kv.delete(key)
else if (after === '') await purge(key)
else await kv.put(key, typeof after === 'string' ? after : JSON.stringify(after))
console.log(`${key} ${entry.string()} -> ${JSON.stringify(after)}`)
await connection.close()

/** Another thief may have been there. */
function leaseOf(text: string): Lease {
  try {
    return JSON.parse(text)
  } catch {
    return { node: null, incarnation: 0, epoch: 0, since: 0, avoid: [] }
  }
}

/** What is to stand there: a text as it is; an empty one: nothing, without a trace; null: that it was removed. */
async function stolen(store: KV, lease: Lease, how: Theft): Promise<Lease | string | null> {
  const lower = Math.max(0, lease.epoch - 2)
  switch (how) {
    case 'set back':
      return { ...lease, epoch: lower }
    case 'set back and given to another node':
      return { ...lease, ...(await another(store, lease)), epoch: lower }
    case 'set back and freed':
      return { ...lease, node: null, incarnation: 0, epoch: lower }
    case 'removed':
      return null
    case 'purged':
      return ''
    case 'filled with nonsense':
      return '{"node":'
    case 'given to another node beyond all numbers':
      return { ...lease, ...(await another(store, lease)), epoch: Number.MAX_SAFE_INTEGER }
    case 'given to another node':
      return { ...lease, ...(await another(store, lease)), epoch: lease.epoch + 1 }
    case 'given to another node under the same epoch':
      return { ...lease, ...(await another(store, lease)) }
    case 'given to a node of long ago':
      return { ...lease, incarnation: 1_000_000_000, epoch: lease.epoch + 1 }
    case 'freed':
      return { ...lease, node: null, incarnation: 0 }
    case 'given to another node far ahead':
      return { ...lease, ...(await another(store, lease)), epoch: lease.epoch + 1_000 }
  }
}

/** One that lives and does not have it. */
async function another(store: KV, { node }: Lease): Promise<Pick<Lease, 'node' | 'incarnation'>> {
  for (const session of (await keysOf(store, 'node.>')).sort()) {
    const name = session.slice('node.'.length)
    if (name === node) continue
    const { incarnation } = (await store.get(session))?.json<{ incarnation: number }>() ?? { incarnation: 0 }
    return { node: name, incarnation }
  }
  return { node: 'nobody', incarnation: 1 }
}

async function purge(subject: string): Promise<void> {
  const manager = await jetstreamManager(connection, { timeout: timeoutMs })
  await manager.streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${subject}` })
}

async function keysOf(store: KV, pattern: string): Promise<string[]> {
  const found: string[] = []
  for await (const one of await store.keys(pattern)) found.push(one)
  return found
}
