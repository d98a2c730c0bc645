import { createServer, type Server } from 'node:net'

/** Ports that a node takes: its link, routes of NATS, clients of NATS. */
const portsPerNode = 3

/** What `--peers` says of so many nodes on loopback, on ports that were free a moment ago: `n1=127.0.0.1:…,n2=…`. */
export async function freePeers(count: number): Promise<string> {
  const peers: string[] = []
  for (let first = 10_000 + Math.floor(Math.random() * 20_000); peers.length < count; first += portsPerNode) {
    const held = await Promise.allSettled(Array.from({ length: portsPerNode }, (_, index) => holdPort(first + index)))
    for (const result of held) if (result.status === 'fulfilled') result.value.close()
    if (held.every(({ status }) => status === 'fulfilled')) peers.push(`n${peers.length + 1}=127.0.0.1:${first}`)
  }
  return peers.join(',')
}

/** Listens on it, so that nobody else can. */
export function holdPort(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
