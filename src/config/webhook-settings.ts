/** Where webhooks may go besides the internet: the option `webhook-allow`, read. */
import { isIP } from 'node:net'

export interface AllowedTargets {
  /** `10.1.0.0/16`. */
  readonly networks: readonly string[]
  /** Names in small letters. */
  readonly hosts: readonly string[]
}

/** `10.1.0.0/16, 192.0.2.7, hooks.internal`. Throws a sentence when it is not written so. */
export function readAllowedTargets(text: string): AllowedTargets {
  const networks: string[] = []
  const hosts: string[] = []
  for (const entry of text === 'none' ? [] : text.split(',').map((one) => one.trim().toLowerCase())) {
    const network = networkOf(entry)
    if (network !== null) networks.push(network)
    else if (isHost(entry)) hosts.push(entry)
    else {
      const mend = 'give networks such as 10.1.0.0/16, addresses, or names of hosts, with commas between them'
      throw new Error(`webhook-allow: '${entry}' is none of these; ${mend}`)
    }
  }
  return { networks, hosts }
}

/** Null: it is none. An address is a network of one. */
function networkOf(entry: string): string | null {
  const [address = '', bits, ...rest] = entry.split('/')
  const version = isIP(address)
  const bitsMax = version === 4 ? 32 : 128
  if (version === 0 || address.includes('%') || rest.length > 0) return null
  if (bits === undefined) return `${address}/${bitsMax}`
  return /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax ? entry : null
}

/** What ends in a number would be read as an address. */
function isHost(entry: string): boolean {
  return /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(entry) && !/(^|\.)(\d+|0x[\da-f]*)$/.test(entry)
}
