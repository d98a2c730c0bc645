/** `warren webhooks list | set | delete | test`, by the management API. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { SystemRandom } from '../../base/random.ts'
import { processEnvironment } from '../../config.ts'
import { CommandFailure, misuse } from '../client/command-failure.ts'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi, type JsonObject } from '../client/http-api.ts'
import { configureListing } from '../client/listing.ts'
import { repeated, wholeNumber } from '../client/numbers.ts'
import { type Run, run } from '../client/run.ts'
import { safe } from '../client/table.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends HttpFlags {
  readonly vhost: string
}

interface SetFlags extends Flags {
  readonly queue?: string
  readonly to?: string
  readonly user?: string
  readonly concurrency?: number
  /** Milliseconds. */
  readonly answerTimeout?: number
  readonly maxBodyBytes?: number
  readonly contentMode?: string
  readonly header?: readonly string[]
  readonly caFile?: string
  readonly defaultCa?: boolean
  readonly secretFile?: string
  readonly previousSecretFile?: string
  readonly enable?: boolean
  readonly disable?: boolean
}

export function configure(command: Command): void {
  configureListing(command.command('list').description('webhooks, where they run, and how they are doing'), {
    noun: 'webhooks',
    columns: {
      vhost: 'vhost',
      name: 'name',
      queue: 'queue',
      url: 'url',
      user: 'user',
      state: 'state',
      reason: 'reason',
      node: 'node',
      unacked: 'messages_unacknowledged',
      delivered: 'delivered',
      failed: 'failed',
      last_status: 'last_status',
      last_error: 'last_error',
      concurrency: 'concurrency',
      enabled: 'enabled',
    },
    shown: ['vhost', 'name', 'queue', 'state', 'node', 'unacked', 'delivered', 'failed', 'last_error'],
    sort: 'name',
    isHidden: null,
    examples,
  })
  const set = addSetOptions(command.command('set').description('make a webhook, or change what is given of one'))
  set.action((name: string, flags: SetFlags) => run((context) => setWebhook(name, flags, context)))
  const remove = command.command('delete').description('delete a webhook; the messages stay in the queue')
  remove.action((name: string, flags: Flags) => run((context) => deleteWebhook(name, flags, context)))
  const test = command.command('test').description('send its receiver a signed request that is no message')
  test.action((name: string, flags: Flags) => run((context) => testWebhook(name, flags, context)))
  for (const one of [set, remove, test]) {
    one.argument('<name>', 'its name').option('--vhost <name>', 'where it is', '/')
    addHttpOptions(one).addHelpText('after', examples)
  }
  command.addHelpText('after', examples)
}

function addSetOptions(set: Command): Command {
  return set
    .option('--queue <name>', 'whose messages are pushed')
    .option('--to <url>', 'where they go, http: or https:')
    .option('--user <name>', 'whose right to read the queue counts (you)')
    .option('--concurrency <count>', 'requests at one time (4)', wholeNumber(1, 100))
    .option('--answer-timeout <ms>', 'how long to wait for an answer (15000)', wholeNumber(100, 300_000))
    .option('--max-body-bytes <bytes>', 'a longer message is rejected (1048576)', wholeNumber(1, 4_194_304))
    .option('--content-mode <mode>', 'binary: the body as it is; json: with its properties (binary)')
    .option('--header <name=value>', 'sent besides; may be repeated, and replaces all that were there', repeated)
    .option('--secret-file <file>', 'whsec_… that signs; - is stdin (WARREN_WEBHOOK_SECRET, or a new one is printed)')
    .option('--previous-secret-file <file>', 'signs too, while receivers learn the new one')
    .option('--ca-file <file>', 'certificates (PEM) that alone may have signed that of the receiver; - is stdin')
    .option('--default-ca', 'no such certificates any more: those that everybody knows')
    .option('--enable', 'switch it on')
    .option('--disable', 'switch it off')
}

const examples = `
Examples:
  warren webhooks set shop --queue orders --to https://shop.example/hook
  warren webhooks set shop --concurrency 8
  warren webhooks test shop
  warren webhooks list --columns name,state,reason,last_error
  warren webhooks delete shop

They need the tag policymaker, and the right to read the queue.`

// ---------------------------------------------------------------- set

async function setWebhook(name: string, flags: SetFlags, context: Run): Promise<ExitCode> {
  const { printer } = context
  const api = new HttpApi(flags, context)
  const known = await webhookNamed(api, name, flags.vhost)
  const given = givenBy(flags)
  if (known === null && (flags.queue === undefined || flags.to === undefined)) {
    throw misuse(`there is no webhook '${name}' in vhost '${flags.vhost}' yet; give --queue and --to to make it`)
  }
  const secret = known === null && !('secret' in given) ? newSecret() : null
  await api.put(pathOf(name, flags.vhost), {
    ...keptOf(known),
    ...given,
    ...(secret === null ? {} : { secret }),
  })
  printer.line(`webhook '${name}' is ${known === null ? 'made' : 'changed'}`)
  if (secret !== null) printer.line(`its secret, which is not shown again: ${secret}`)
  return ExitCode.done
}

const keptFields = [
  ...['queue', 'url', 'user', 'concurrency', 'timeout_ms', 'max_body_bytes', 'content_mode', 'enabled'],
  'ca_certificates',
]

/** What is not given stays; secrets and headers stay by themselves. */
function keptOf(known: JsonObject | null): JsonObject {
  if (known === null) return {}
  return Object.fromEntries(keptFields.map((field) => [field, known[field]]))
}

function givenBy(flags: SetFlags): JsonObject {
  if (flags.enable === true && flags.disable === true) throw misuse('--enable and --disable: give one of them')
  if (flags.defaultCa === true && flags.caFile !== undefined)
    throw misuse('--ca-file and --default-ca: give one of them')
  const secret = flags.secretFile === undefined ? processEnvironment()['WARREN_WEBHOOK_SECRET'] : undefined
  const fields: JsonObject = {
    queue: flags.queue,
    url: flags.to,
    user: flags.user,
    concurrency: flags.concurrency,
    timeout_ms: flags.answerTimeout,
    max_body_bytes: flags.maxBodyBytes,
    content_mode: flags.contentMode,
    headers: flags.header === undefined ? undefined : headersOf(flags.header),
    ca_certificates: flags.defaultCa === true ? null : textIn('--ca-file', flags.caFile),
    secret: secret || secretIn('--secret-file', flags.secretFile),
    previous_secret: secretIn('--previous-secret-file', flags.previousSecretFile),
    enabled: flags.enable === true ? true : flags.disable === true ? false : undefined,
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function headersOf(given: readonly string[]): JsonObject {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw misuse('--header needs NAME=VALUE')
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

/** A secret in an argument would be seen by everyone on the machine. */
function secretIn(option: string, file: string | undefined): string | undefined {
  return textIn(option, file)?.trim()
}

function textIn(option: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw misuse(`${option} ${file} cannot be read (${code}); give a file that can`)
  }
}

function newSecret(): string {
  return `whsec_${Buffer.from(new SystemRandom().bytes(32)).toString('base64')}`
}

// ---------------------------------------------------------------- delete and test

async function deleteWebhook(name: string, { vhost, ...flags }: Flags, context: Run): Promise<ExitCode> {
  const api = new HttpApi(flags, context)
  await webhookThere(api, name, vhost)
  await api.delete(pathOf(name, vhost))
  context.printer.line(`deleted webhook '${name}'`)
  return ExitCode.done
}

async function testWebhook(name: string, { vhost, ...flags }: Flags, context: Run): Promise<ExitCode> {
  const known = await webhookThere(new HttpApi(flags, context), name, vhost)
  // The broker answers when the receiver has.
  const timeout = flags.timeout + Number(known['timeout_ms'] ?? 0) / 1_000
  const answer = await new HttpApi({ ...flags, timeout }, context).ask('POST', `${pathOf(name, vhost)}/test`)
  const { is_accepted: isAccepted, status, error, duration_ms: ms, node } = answer as JsonObject
  const how = `in ${ms} ms, sent by ${safe(String(node))}`
  if (isAccepted === true) {
    context.printer.line(`the receiver of webhook '${name}' has answered ${status} ${how}`)
    return ExitCode.done
  }
  const what = `the receiver of webhook '${name}' would not have got a message (${safe(String(error))}, ${how})`
  throw new CommandFailure(ExitCode.undelivered, `${what}; mend what it names`)
}

// ---------------------------------------------------------------- what is there

function pathOf(name: string, vhost: string): string {
  return `webhooks/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`
}

async function webhookNamed(api: HttpApi, name: string, vhost: string): Promise<JsonObject | null> {
  const all = await api.list(`webhooks/${encodeURIComponent(vhost)}`)
  return all.find((one) => one['name'] === name) ?? null
}

async function webhookThere(api: HttpApi, name: string, vhost: string): Promise<JsonObject> {
  const known = await webhookNamed(api, name, vhost)
  if (known !== null) return known
  throw new CommandFailure(
    ExitCode.notFound,
    `no webhook '${name}' in vhost '${vhost}'; \`warren webhooks list\` shows those there are`,
  )
}
