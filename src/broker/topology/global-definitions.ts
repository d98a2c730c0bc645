import { clusterNameParameter, type GlobalParameter, type GlobalParameterRecord } from './global-parameter.ts'
import type { ClusterNode } from './node-row.ts'
import type { NodeRecord } from './records.ts'

/** What belongs to no vhost and no user, as the records say: nodes, global parameters. Part of `Definitions`. */
export class GlobalDefinitions {
  /** The nodes that count, by incarnation. */
  readonly nodes = new Map<number, ClusterNode>()
  readonly parameters = new Map<string, GlobalParameter>()
  /** Null: nobody has given one. */
  clusterName: string | null = null

  makeNode({ id, incarnation, name }: NodeRecord): ClusterNode {
    const node: ClusterNode = { kind: 'node', id, incarnation, name, stored: null }
    this.nodes.set(incarnation, node)
    return node
  }

  makeParameter({ kind, id, name, json }: GlobalParameterRecord): GlobalParameter {
    const parameter: GlobalParameter = { kind, id, name, json, stored: null }
    this.parameters.set(name, parameter)
    if (name === clusterNameParameter) this.clusterName = String(JSON.parse(json))
    return parameter
  }

  remove(definition: ClusterNode | GlobalParameter): void {
    if (definition.kind === 'node') this.nodes.delete(definition.incarnation)
    else this.#removeParameter(definition)
  }

  #removeParameter({ name }: GlobalParameter): void {
    this.parameters.delete(name)
    if (name === clusterNameParameter) this.clusterName = null
  }
}
