/**
 * Definitions as code against what exists: `plan` tells the difference and changes nothing, `apply` makes it so. What is
 * there already is never changed behind anybody's back: a queue that differs is refused, or replaced when it is empty and
 * unused and the caller said so. Nothing is removed that no definition names.
 */
import { type Client, coreOf } from './client.ts'
import type { Core } from './core.ts'
import type { BindingDeclaration } from './driver/driver.ts'
import { badOption, WarrenError } from './errors.ts'
import { type Existing, ExistingByAmqp } from './existing-by-amqp.ts'
import { ExistingByHttp } from './existing-by-http.ts'
import { differencesText, type Finding, Plan, type PlanItem } from './plan-items.ts'
import { type Definition, isSame, keyOf } from './topology.ts'

/** A queue, an exchange, or a binding of `bindingOf`. */
export interface Defined {
  readonly definitions: readonly Definition[]
}

export interface PlanOptions {
  /** The broker's HTTP API, as `http://user:password@host:15672`: tells bindings and all arguments. AMQP alone does not. */
  readonly http?: string
  /** Of the HTTP API's answers; 10 s by default. */
  readonly httpTimeoutMs?: number
}

export interface ApplyOptions extends PlanOptions {
  /**
   * `empty`: a queue that differs is deleted and declared again, if it has no messages and no consumers. Bindings that no
   * definition names are lost with it.
   */
  readonly replace?: 'empty'
}

const httpTimeoutMs = 10_000

/** A binding for `plan` and `apply`, where neither `Queue.bind` nor `Exchange.queue` says it. */
export function bindingOf(
  to: 'queue' | 'exchange',
  binding: Pick<BindingDeclaration, 'source' | 'destination'> & Partial<BindingDeclaration>,
): Defined {
  const { source, destination, bindingKey = '', arguments: table = {} } = binding
  return {
    definitions: [{ kind: 'binding', to, binding: { source, destination, bindingKey, arguments: table } }],
  }
}

/** Throws `BAD_OPTION` when two definitions contradict each other; rejects with a `WarrenError` when the broker cannot be asked. */
export async function plan(client: Client, defined: Iterable<Defined>, options: PlanOptions = {}): Promise<Plan> {
  const definitions = collected(defined)
  const core = coreOf(client)
  const existing = existingOf(core, options)
  const items: PlanItem[] = []
  for (const [what, definition] of definitions) {
    const isOfNew = definition.kind === 'binding' && bindsNew(definition, items)
    const finding: Finding = isOfNew ? { state: 'create' } : await existing.find(definition, what)
    items.push({ ...finding, what, definition })
  }
  return new Plan(items)
}

/**
 * Declares what is missing, in the order given, and resolves with the plan it has carried out. Rejects with
 * `TOPOLOGY_DIFFERS`, before anything was changed, when something that exists differs and may not be replaced.
 */
export async function apply(client: Client, defined: Iterable<Defined>, options: ApplyOptions = {}): Promise<Plan> {
  const list = [...defined]
  const found = await plan(client, list, options)
  const { replace } = options
  const core = coreOf(client)
  const refused = found.differing.filter(({ definition }) => definition.kind !== 'queue' || replace !== 'empty')
  if (refused.length > 0) throw differs(refused, replace)
  for (const item of found.differing) await checkReplaceable(core, item)
  for (const item of found.differing) await remove(core, item)
  // A replaced queue's bindings have gone with it, and are forgotten: those that were the same are bound again.
  for (const { definition, state } of found.items) {
    // What this client declared before may have been deleted by somebody since.
    if (state !== 'same') core.topology.forget([definition])
    await core.topology.ensure(definition)
  }
  return found
}

// ---------------------------------------------------------------- what is there

/** One of each, in order, by its name. */
function collected(defined: Iterable<Defined>): Map<string, Definition> {
  const result = new Map<string, Definition>()
  for (const { definitions } of defined) {
    for (const definition of definitions) {
      const what = keyOf(definition)
      const other = result.get(what)
      if (other === undefined) result.set(what, definition)
      else if (!isSame(other, definition)) throw contradiction(what)
    }
  }
  return result
}

function contradiction(what: string): WarrenError {
  return badOption(`There are two different definitions of ${what}.`, 'Define it once, and use that one everywhere.')
}

function existingOf(core: Core, { http, httpTimeoutMs: timeoutMs = httpTimeoutMs }: PlanOptions): Existing {
  if (http === undefined) return new ExistingByAmqp(core.pool)
  return new ExistingByHttp({ url: http, vhost: core.consuming.vhost, timeoutMs })
}

/** What is bound to something new cannot be there yet. */
function bindsNew({ to, binding }: Definition & { kind: 'binding' }, items: readonly PlanItem[]): boolean {
  return items.some(({ state, definition }) => {
    if (state !== 'create' || definition.kind === 'binding') return false
    const isSource = definition.kind === 'exchange' && definition.name === binding.source
    return isSource || (definition.kind === to && definition.name === binding.destination)
  })
}

// ---------------------------------------------------------------- what differs

type Differing = Plan['differing'][number]

function differs(items: readonly Differing[], replace: ApplyOptions['replace']): WarrenError {
  const list = items.map(({ what, differences }) => `${what} (${differencesText(differences)})`).join(', ')
  const mend =
    replace === 'empty'
      ? 'Only queues are replaced: change the definition, or delete the exchange yourself.'
      : "Change the definition, or let empty unused queues be replaced with { replace: 'empty' }."
  return new WarrenError('TOPOLOGY_DIFFERS', `Not as defined: ${list}.`, { mend })
}

/** Rejects with a sentence for a queue that is used, is not empty, or cannot be deleted under these conditions. */
async function checkReplaceable(core: Core, { definition, differences, what }: Differing): Promise<void> {
  if (definition.kind !== 'queue') return
  const refuse = (why: string, mend: string): never => {
    throw new WarrenError('TOPOLOGY_DIFFERS', `${what} cannot be replaced: ${why}.`, { mend })
  }
  const { messageCount, consumerCount } = await core.pool.run(`The question for ${what}`, (channel) =>
    channel.checkQueue(definition.name),
  )
  if (messageCount > 0) refuse(`it holds ${messageCount} messages`, 'Move or purge them first.')
  if (consumerCount > 0) refuse(`it has ${consumerCount} consumers`, 'Stop them first.')
  const type = typeNow(definition, differences)
  if (core.isWarren !== true && type !== 'classic') {
    // RabbitMQ ends the connection when it is asked to delete one of these only if it is empty.
    refuse(`RabbitMQ does not delete a ${type} queue on condition that it is empty`, 'Delete it yourself.')
  }
}

function typeNow(definition: Definition & { kind: 'queue' }, differences: Differing['differences']): string {
  const different = differences.find(({ name }) => name === 'x-queue-type')
  const type = different === undefined ? definition.declaration.arguments['x-queue-type'] : different.current
  return typeof type === 'string' ? type : 'classic'
}

/** The conditions hold in the broker too: a message that came meanwhile is not lost, and the error says so. */
async function remove(core: Core, { definition, what }: Differing): Promise<void> {
  if (definition.kind !== 'queue') return
  await core.pool.run(`The deletion of ${what}`, (channel) =>
    channel.deleteQueue(definition.name, { ifUnused: true, ifEmpty: true }),
  )
  core.topology.forgetQueue(definition.name)
}
