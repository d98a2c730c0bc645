/** Definitions that a node is given at its start: RabbitMQ's JSON, from a file or from whoever starts it. */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import { FileTooLong, readText } from './base/read-text.ts'
import type { Broker } from './broker/broker.ts'
import { DefinitionsError } from './broker/definitions/entry.ts'
import { definitionsBytesMax, type Imported, parseDefinitions } from './broker/definitions/import-definitions.ts'
import { BrokerError } from './broker/errors.ts'
import type { Config } from './config.ts'
import { errorName, StartError } from './start-error.ts'

/** While the topology of a cluster goes to another owner it takes no changes: then it is tried again, … */
const retryMs = 500
/** … but no longer than this, in milliseconds. */
const retriesMsMax = 60_000

/** What a file, and whoever starts the node, says there should be; whatever of it is there already stays. */
export async function loadDefinitions(
  config: Config,
  { logger, files, clock }: { readonly logger: Logger; readonly files: Files; readonly clock: Clock },
  broker: Broker,
  given?: string,
): Promise<void> {
  const { definitions: path } = config
  const file = {
    place: path,
    mend: 'mend the file or give another',
    read: () => readText(files, path, definitionsBytesMax),
    logger,
    clock,
  }
  if (path !== 'none') await importFrom(file, broker)
  if (given === undefined) return
  const options = { place: 'the options', mend: 'mend them', read: () => Promise.resolve(given) }
  await importFrom({ ...options, logger, clock }, broker)
}

interface DefinitionsSource {
  readonly place: string
  readonly mend: string
  read(): Promise<string>
  readonly logger: Logger
  readonly clock: Clock
}

async function importFrom(source: DefinitionsSource, broker: Broker): Promise<void> {
  const { place, mend, read, logger } = source
  try {
    const { warnings } = await importInTime(source, parseDefinitions(await read()), broker)
    for (const warning of warnings) logger.warn({ definitions: place }, warning)
    logger.info({ definitions: place, warnings: warnings.length }, 'definitions are imported')
  } catch (error) {
    if (error instanceof DefinitionsError || error instanceof FileTooLong) {
      const sentence = `the definitions in ${place} cannot be imported: ${error.message}; ${mend}`
      throw new StartError('definitions', sentence, error)
    }
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const sentence = `the definitions ${place} cannot be read (${errorName(error)}): give definitions the path of a file`
    throw new StartError('definitions', `${sentence} that this user may read`, error)
  }
}

/** What has been made stays, so that the whole can be tried again. */
async function importInTime(
  { place, logger, clock }: DefinitionsSource,
  document: unknown,
  broker: Broker,
): Promise<Imported> {
  const end = clock.monotonic() + retriesMsMax
  for (;;) {
    try {
      return await broker.importDefinitions(document)
    } catch (error) {
      const isPassing = error instanceof BrokerError && error.kind === 'internal-error'
      if (!isPassing || clock.monotonic() >= end) throw error
      logger.info({ definitions: place, error }, 'definitions cannot be imported yet; it is tried again')
      await new Promise<void>((resolve) => clock.after(retryMs, resolve))
    }
  }
}
