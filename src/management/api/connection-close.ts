import type { OpenConnection } from '../../broker/connection-directory.ts'
import { connectionsIn, type Scope } from './connection-lists.ts'
import type { ApiParts } from './route.ts'

/** Ends connections of this node, and says how many; the reason is what their clients read. */
export function* closeConnections(api: ApiParts, scope: Scope, reason: string): Generator<void, number> {
  const wanted: OpenConnection[] = [...connectionsIn(api, scope)]
  for (const connection of wanted) {
    connection.close(reason)
    yield
  }
  return wanted.length
}
