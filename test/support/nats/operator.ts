/**
 * NATS with an operator: who may log in stands in tokens (JWT) that accounts sign, and those of accounts are signed by the
 * operator. Made here as the tool `nsc` makes them, for tests.
 */
import { randomUUID } from 'node:crypto'
import { nkeys } from '@nats-io/transport-node'

type KeyPair = ReturnType<typeof nkeys.createUser>

/** What the account may have of JetStream; -1: as much as there is. */
export interface AccountLimits {
  readonly disk_storage?: number
  readonly streams?: number
  readonly consumer?: number
}

interface Account {
  readonly keys: KeyPair
  readonly token: string
}

const unlimited = { subs: -1, data: -1, payload: -1 }
const accountLimits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
const noPermissions = { pub: {}, sub: {} }

export class TestOperator {
  readonly #keys = nkeys.createOperator()
  readonly #system: Account
  readonly #account: Account

  constructor(limits: AccountLimits = {}) {
    this.#system = this.#makeAccount('SYS', {})
    const store = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1, ...limits }
    this.#account = this.#makeAccount('WARREN', store)
  }

  /** For the configuration of a server. */
  get config(): string {
    const system = publicKey(this.#system.keys)
    const claims = { type: 'operator', version: 2, system_account: system }
    const preload = [this.#system, this.#account].map(({ keys, token }) => `${publicKey(keys)}: ${token}`)
    return `operator: ${sign(this.#keys, this.#keys, 'operator', claims)}
system_account: ${system}
resolver: MEMORY
resolver_preload: { ${preload.join(', ')} }`
  }

  /** A credentials file of a new user of the account; `secondsValid` null: for ever. */
  user(secondsValid: number | null = null): string {
    return credentials(this.#account, secondsValid)
  }

  systemUser(): string {
    return credentials(this.#system, null)
  }

  #makeAccount(name: string, limits: object): Account {
    const keys = nkeys.createAccount()
    const claims = {
      type: 'account',
      version: 2,
      limits: { ...accountLimits, ...limits },
      default_permissions: noPermissions,
    }
    return { keys, token: sign(this.#keys, keys, name, claims) }
  }
}

function credentials({ keys }: Account, secondsValid: number | null): string {
  const user = nkeys.createUser()
  const claims = { type: 'user', version: 2, ...unlimited, ...noPermissions }
  const token = sign(keys, user, 'warren', claims, secondsValid)
  const seed = new TextDecoder().decode(user.getSeed())
  return `-----BEGIN NATS USER JWT-----
${token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`
}

function sign(
  issuer: KeyPair,
  subject: KeyPair,
  name: string,
  nats: object,
  secondsValid: number | null = null,
): string {
  const iat = Math.floor(Date.now() / 1_000)
  const until = secondsValid === null ? {} : { exp: iat + secondsValid }
  const claims = { jti: randomUUID(), iat, iss: publicKey(issuer), name, sub: publicKey(subject), ...until, nats }
  const text = `${encoded({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encoded(claims)}`
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function publicKey(keys: KeyPair): string {
  return keys.getPublicKey()
}
