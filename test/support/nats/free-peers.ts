import { freeRuns } from '../ports.ts'

/** What `--peers` says of so many nodes on loopback: `n1=127.0.0.1:…,n2=…`. Each takes a run: its link, routes of NATS, clients of NATS. */
export async function freePeers(count: number): Promise<string> {
  const runs = await freeRuns(count)
  return runs.map((first, index) => `n${index + 1}=127.0.0.1:${first}`).join(',')
}
