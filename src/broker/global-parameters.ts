import type { Position } from '../log/log.ts'
import { isObject } from './definitions/entry.ts'
import { BrokerError } from './errors.ts'
import { clusterNameParameter } from './topology/global-parameter.ts'
import { topologyLimits as limits } from './topology/limits.ts'
import { checkNameForm } from './topology/names.ts'
import type { Topology } from './topology/topology.ts'
import { checkRoom } from './vhost-rules.ts'

/** A global parameter as it is shown. */
export interface ShownParameter {
  readonly name: string
  /** As in JSON. */
  readonly value: unknown
}

/** Makes a global parameter, or gives the one of that name a new value. Throws `precondition-failed` for what does not fit. */
export function putGlobalParameter(topology: Topology, name: string, value: unknown): Position {
  const json = checkedParameter(name, value)
  if (!topology.globalParameters.has(name)) checkNew(topology)
  return topology.putGlobalParameter(name, json)
}

export function deleteGlobalParameter(topology: Topology, name: string): Position {
  const parameter = topology.globalParameters.get(name)
  if (parameter === undefined) throw new BrokerError('not-found', `no global parameter '${name}'`)
  return topology.removeRow(parameter)
}

export function* listGlobalParameters(topology: Topology): Generator<ShownParameter> {
  for (const { name, json } of topology.globalParameters.values()) yield { name, value: JSON.parse(json) }
}

/** The value of one; undefined: there is none of that name. */
export function globalParameter(topology: Topology, name: string): unknown {
  const parameter = topology.globalParameters.get(name)
  return parameter === undefined ? undefined : JSON.parse(parameter.json)
}

/** The value as text. Throws `precondition-failed`. */
export function checkedParameter(name: string, value: unknown): string {
  if (name === '') throw new BrokerError('precondition-failed', 'a global parameter needs a name')
  checkNameForm('global parameter', name)
  const why = name === clusterNameParameter ? whyNoClusterName(value) : whyNoValue(value)
  if (why !== null) throw invalid(name, why)
  const json = JSON.stringify(value)
  const { globalParameterBytesMax: max } = limits
  if (Buffer.byteLength(json) > max) throw invalid(name, `its value is longer than ${max} bytes of JSON`)
  return json
}

/** Every client is told it when it connects. */
function whyNoClusterName(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return 'the name of a cluster has to be a text that is not empty'
  if (Buffer.byteLength(value) > clusterNameBytesMax) return `its value is longer than ${clusterNameBytesMax} bytes`
  return /\p{Cc}/u.test(value) ? 'the name of a cluster may not contain control characters' : null
}

const clusterNameBytesMax = 255

/** Looks at everything in it without calling itself: however deep it is, it is refused and not followed. */
function whyNoValue(value: unknown): string | null {
  if (value === undefined) return 'its value is missing'
  const left: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 1 }]
  for (let one = left.pop(); one !== undefined; one = left.pop()) {
    if (isRounded(one.value)) return 'it holds a number that cannot be kept exactly; write that as a text'
    if (!isObject(one.value) && !Array.isArray(one.value)) continue
    if (one.depth > limits.globalParameterDepthMax) {
      return `its value has more than ${limits.globalParameterDepthMax} lists and objects in one another`
    }
    for (const inner of Object.values(one.value)) left.push({ value: inner, depth: one.depth + 1 })
  }
  return null
}

/** JSON has numbers that are read as others. */
function isRounded(value: unknown): boolean {
  if (typeof value !== 'number') return false
  return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))
}

function checkNew(topology: Topology): void {
  checkRoom(topology, true)
  const { globalParametersMax: max } = limits
  if (topology.globalParameters.size < max) return
  const text = `cannot add global parameter: limit of global parameters (${max}) is reached`
  throw new BrokerError('precondition-failed', text)
}

function invalid(name: string, why: string): BrokerError {
  return new BrokerError('precondition-failed', `Validation failed\n\nglobal parameter '${name}': ${why}\n`)
}
