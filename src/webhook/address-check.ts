/**
 * Which addresses webhooks may go to: those of the public internet, and what the operator allows besides. So nobody who
 * may make a webhook reaches through it what only this machine reaches (server-side request forgery).
 *
 * Judged are numeric addresses, after the name was looked up; whoever connects uses the very address that was judged.
 * `URL` writes every form of an IPv4 address (`0x7f.1`, `2130706433`, `0177.0.0.1`) as `127.0.0.1` before it comes here.
 */
import { BlockList, isIP } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { Resolver } from '../base/resolver.ts'

/** IPv4 networks that are not the internet (IANA's special-purpose registry), and 168.63.129.16, which Azure keeps to itself. */
const closedNetworks = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16'],
  ...['192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  '168.63.129.16/32',
]
/** Of IPv6 only this is the internet, without ORCHID and Teredo, 6to4, documentation and SRv6; so mapped addresses and NAT64 are not. */
const openNetworks6 = ['2000::/3']
const closedNetworks6 = ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20']
/** Allowed only where a network is named that holds them: a name may be led to them. Metadata of clouds are here. */
const neverByName = ['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32']
const neverByName6 = [
  ...['::/128', 'fe80::/10', 'ff00::/8', 'fd00:ec2::/32', '::ffff:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'],
]

/** What an operator allows besides the internet. */
export interface Allowed {
  readonly networks: BlockList
  /** In small letters. */
  readonly hosts: ReadonlySet<string>
}

/** Networks as `10.1.0.0/16`, hosts in small letters. */
export function allowedOf(given: { readonly networks: readonly string[]; readonly hosts: readonly string[] }): Allowed {
  return { networks: listOf(given.networks), hosts: new Set(given.hosts) }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/')
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/** Lists of the two families apart: one of IPv6 that holds mapped addresses would match all of IPv4. */
const closed = listOf(closedNetworks)
const open6 = listOf(openNetworks6)
const closed6 = listOf(closedNetworks6)
const unnamed = listOf(neverByName)
const unnamed6 = listOf(neverByName6)

/** Whether a request for `host` may go to this numeric address. */
export function mayConnect(address: string, host: string, { networks, hosts }: Allowed): boolean {
  // A zone (`fe80::1%eth0`) is of the machine, never of the internet.
  const version = isIP(address)
  if (version === 0 || address.includes('%')) return false
  const isFour = version === 4
  const isPublic = isFour ? !closed.check(address) : open6.check(address, 'ipv6') && !closed6.check(address, 'ipv6')
  if (isPublic || networks.check(address, isFour ? 'ipv4' : 'ipv6')) return true
  return hosts.has(host.toLowerCase()) && !(isFour ? unnamed.check(address) : unnamed6.check(address, 'ipv6'))
}

/** An address that may not be connected to, as a sentence. */
export class AddressRefused extends Error {
  readonly code = 'ADDRESS_REFUSED'
}

/** As a sentence why no request may go to an address that stands in a URL; null: it may, or there is a name. */
export function whyRefused({ hostname }: URL, allowed: Allowed): string | null {
  const host = plainHost(hostname)
  return isIP(host) === 0 || mayConnect(host, host, allowed) ? null : refusal(host, host)
}

/** Without brackets, and without the point that ends a full name. */
function plainHost(hostname: string): string {
  return hostname.replaceAll(/[[\]]/g, '').replace(/\.$/, '')
}

function refusal(address: string, host: string): string {
  const what = address === host ? address : `${host} is ${address}, which`
  return `${what} is not on the internet and not in webhook-allow`
}

/** How long what was found counts, in milliseconds: a lookup takes one of the few threads that files need too. */
const foundMs = 10_000
/** And what led nowhere. */
const uselessMs = 1_000

/** Finds and judges the addresses of one host, again and again. */
export class CheckedHost {
  readonly #host: string
  readonly #parts: CheckedHostParts
  #found: { readonly addresses: Promise<readonly string[]>; until: number } | null = null

  /** As `URL` has it, an IPv6 address in brackets. */
  constructor(hostname: string, parts: CheckedHostParts) {
    this.#host = plainHost(hostname)
    this.#parts = parts
  }

  /** Rejects with `AddressRefused` when one of its addresses is closed, and with the system's error when there is none. */
  async addresses(): Promise<readonly string[]> {
    try {
      const addresses = await this.#lookup()
      // Judged each time: what is allowed may be another by now.
      for (const address of addresses) this.#check(address)
      return addresses
    } catch (error) {
      this.ledNowhere()
      throw error
    }
  }

  /** It is looked up again soon. */
  ledNowhere(): void {
    if (this.#found === null) return
    this.#found.until = Math.min(this.#found.until, this.#parts.clock.monotonic() + uselessMs)
  }

  #lookup(): Promise<readonly string[]> {
    if (isIP(this.#host) !== 0) return Promise.resolve([this.#host])
    const now = this.#parts.clock.monotonic()
    if (this.#found !== null && now < this.#found.until) return this.#found.addresses
    const addresses = this.#parts.resolver.resolve(this.#host)
    this.#found = { addresses, until: now + foundMs }
    return addresses
  }

  #check(address: string): void {
    if (!mayConnect(address, this.#host, this.#parts.allowed())) throw new AddressRefused(refusal(address, this.#host))
  }
}

export interface CheckedHostParts {
  readonly resolver: Resolver
  readonly clock: Clock
  /** What counts now. */
  readonly allowed: () => Allowed
}
