/**
 * Ports for servers that run as processes of their own: their port stands in arguments and configurations before they are
 * started, and they are started again on it.
 *
 * A port that listening on port 0 has found is anybody's again once it is closed, and whoever connects to something may get it.
 * These ports are below those that the system gives out by itself, and come in blocks: on the last port of a block, its
 * guard, this process listens until it ends, so that no other process that asks here gets that block.
 */
import { createServer, type Server } from 'node:net'

/** Linux gives out ports from 32,768 on, others from 49,152 on; the usual ports of brokers lie below these. */
const lowest = 16_000
const blockCount = 4_000
const portsPerBlock = 4
/** In a row, of one block: all but its guard. */
const portsPerRun = portsPerBlock - 1

/** So many runs of three ports in a row, by their first. */
export async function freeRuns(count: number): Promise<number[]> {
  const runs: number[] = []
  const start = Math.floor(Math.random() * blockCount)
  for (let look = 0; runs.length < count; look++) {
    if (look === blockCount) throw new Error(`no ${count} runs of free ports from ${lowest} on`)
    const first = lowest + portsPerBlock * ((start + look) % blockCount)
    if (await takeBlock(first)) runs.push(first)
  }
  return runs
}

export async function freePorts(count: number): Promise<number[]> {
  const runs = await freeRuns(Math.ceil(count / portsPerRun))
  return runs.flatMap((first) => Array.from({ length: portsPerRun }, (_, index) => first + index)).slice(0, count)
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

/** Listens on it, so that nobody else can. */
export function holdPort(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

/** What this process has. It does not keep it from ending. */
const guards: Server[] = []

/** False when the block is another's, or something else listens there. */
async function takeBlock(first: number): Promise<boolean> {
  const ports = Array.from({ length: portsPerBlock }, (_, index) => first + index)
  const held = await Promise.allSettled(ports.map(holdPort))
  const isFree = held.every(({ status }) => status === 'fulfilled')
  const servers = held.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const guard = isFree ? servers.pop() : undefined
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  if (guard !== undefined) guards.push(guard.unref())
  return isFree
}
