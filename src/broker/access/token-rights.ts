import type { Right } from './permission.ts'
import { matchesWildcard } from './wildcard.ts'

/**
 * What a token gives: scopes as RabbitMQ's OAuth 2 plug-in reads them, without the name of the resource in front.
 *
 *     read:VHOST/NAME      write:VHOST/NAME/ROUTING-KEY      configure:VHOST/NAME      tag:TAG
 *
 * Each part is a pattern in which `*` stands for any text; a text that is percent-encoded stands for itself. A scope that
 * is not written so gives nothing.
 */
export class TokenRights {
  /** When it ends, wall time in milliseconds. */
  readonly expiresAt: number
  readonly scopes: readonly string[]
  readonly #grants: readonly Grant[]

  constructor(scopes: readonly string[], expiresAt: number) {
    this.expiresAt = expiresAt
    this.scopes = scopes
    this.#grants = scopes.flatMap((scope) => grantOf(scope) ?? [])
  }

  mayEnter(vhost: string): boolean {
    return this.#grants.some((grant) => matchesWildcard(grant.vhost, vhost))
  }

  allows(right: Right, vhost: string, name: string): boolean {
    return this.#grants.some(
      (grant) => grant.right === right && matchesWildcard(grant.vhost, vhost) && matchesWildcard(grant.name, name),
    )
  }

  /** One scope must give both the exchange and the key. */
  allowsTopic(right: 'write' | 'read', vhost: string, exchange: string, key: string): boolean {
    return this.#grants.some(
      (grant) =>
        grant.right === right &&
        matchesWildcard(grant.vhost, vhost) &&
        matchesWildcard(grant.name, exchange) &&
        matchesWildcard(grant.routingKey, key),
    )
  }
}

/** The tags among scopes. */
export function tagsOf(scopes: readonly string[]): string[] {
  return scopes.filter((scope) => scope.startsWith('tag:') && scope.length > 4).map((scope) => scope.slice(4))
}

/** Each pattern is a list of texts between its `*`. */
interface Grant {
  readonly right: Right
  readonly vhost: readonly string[]
  readonly name: readonly string[]
  readonly routingKey: readonly string[]
}

const form = /^(configure|write|read):([^/]+)\/([^/]+)(?:\/([^/]+))?$/

function grantOf(scope: string): Grant | null {
  const [, right, vhost, name, routingKey = '*'] = form.exec(scope) ?? []
  if (right === undefined || vhost === undefined || name === undefined) return null
  try {
    const [of, named, keyed] = [vhost, name, routingKey].map(partsOf)
    if (of === undefined || named === undefined || keyed === undefined) return null
    return { right: right as Right, vhost: of, name: named, routingKey: keyed } // the form allows no other right
  } catch {
    // A stray `%`.
    return null
  }
}

/** `%2A` is a star that stands for itself. */
function partsOf(pattern: string): string[] {
  return pattern.split('*').map(decodeURIComponent)
}
