/** The configuration: precedence, units, and that every error says place, key, value and mend in one sentence. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { byteUnits, durationUnits, formatMeasure, parseMeasure } from '../../src/config/option.ts'
import { options } from '../../src/config/options.ts'
import { ConfigError, type ConfigSources, defaultConfig, loadConfig } from '../../src/config.ts'
import { serverLimits } from '../../src/daemon.ts'
import { cacheBytesDefault } from '../../src/log/file/file-log-options.ts'
import { scratchMemoryBytesDefault } from '../../src/log/file/scratch-log.ts'
import { defaultIdentity } from '../../src/server/handshake.ts'
import { defaultServerLimits, type ServerLimits } from '../../src/server/limits.ts'

describe('configuration', () => {
  it('has defaults for everything and is frozen', async () => {
    const { config } = await load({})
    assert.deepEqual(config, defaultConfig)
    assert.deepEqual(Object.keys(config), Object.keys(options))
    assert.equal(config.port, 5672)
    assert.throws(() => Object.assign(config, { port: 1 }), TypeError)
  })

  it('has the defaults of the parts it is given to', () => {
    const limits = serverLimits(defaultConfig)
    const named = Object.keys(defaultServerLimits) as (keyof ServerLimits)[]
    assert.deepEqual(Object.fromEntries(named.map((name) => [name, limits[name]])), defaultServerLimits)
    assert.equal(defaultConfig.toldVersion, defaultIdentity.version)
    assert.equal(defaultConfig.transientBytesMax, scratchMemoryBytesDefault)
    assert.equal(defaultConfig.logCacheBytesMax, cacheBytesDefault)
  })

  it('lets AMQP without TLS have no port, but not everything', async () => {
    const { config } = await load({ flags: { port: 'none' } })
    assert.equal(config.port, 'none', 'AMQP over WebSocket is left')
    const toml = 'port = "none"\nhttp-port = "none"\nprometheus-port = 15692'
    await assert.rejects(
      load({ toml }),
      /nobody could connect: port, tls-port, http-port and https-port are all "none"/,
    )
  })

  it('lets flags win over the environment, and that over the file', async () => {
    const toml = 'port = 1\nhost = "a"\ndata = "f"\nlog-level = "warn"'
    const { config } = await load({ toml, environment: { WARREN_PORT: '2', WARREN_HOST: 'b' }, flags: { port: '3' } })
    assert.deepEqual([config.port, config.host, config.dataDirectory, config.logLevel], [3, 'b', 'f', 'warn'])
  })

  it('reads the file that WARREN_CONFIG names, unless a flag names another', async () => {
    const { config } = await load({ files: { 'x.toml': 'port = 7' }, environment: { WARREN_CONFIG: 'x.toml' } })
    assert.equal(config.port, 7)
    const files = { 'x.toml': 'port = 7', 'y.toml': 'port = 8' }
    const other = await load({ files, file: 'y.toml', environment: { WARREN_CONFIG: 'x.toml' } })
    assert.equal(other.config.port, 8)
  })

  it('takes sizes and times with units, and sizes as numbers', async () => {
    const toml = 'drain-timeout = "1.5s"\n[disk]\nfree-min = "64MiB"'
    const { config } = await load({ toml })
    assert.equal(config.drainMsMax, 1500)
    assert.equal(config.diskFreeBytesMin, 64 * 1024 * 1024)
    assert.equal((await load({ environment: { WARREN_DISK_FREE_MIN: '2048' } })).config.diskFreeBytesMin, 2048)
    assert.equal((await load({ environment: { WARREN_DISK_FREE_MIN: '2 kB' } })).config.diskFreeBytesMin, 2000)
  })

  it('names file, line, key, value and what fits', async () => {
    const toml = '# mine\n\nport = 99999\n'
    assert.deepEqual(await problems({ toml }), [
      'warren.toml:3: port = 99999 does not fit; give a whole number from 0 to 65535 or "none", such as 5672',
    ])
  })

  it('finds the line of keys in tables, inline tables, dotted and quoted', async () => {
    const forms = ['[disk]\n\nfree-min = "x"', 'port = 1\n\ndisk = { free-min = "x" }', '\n\ndisk."free-min" = "x"']
    for (const toml of forms) {
      const [problem = ''] = await problems({ toml })
      assert.match(
        problem,
        /^warren\.toml:3: disk\.free-min = "x" does not fit; give a size from 0B to 1024TiB, such as "1GiB"$/,
      )
    }
  })

  it('names variable or flag when the value came from there', async () => {
    assert.deepEqual(await problems({ environment: { WARREN_DRAIN_TIMEOUT: '10' } }), [
      'WARREN_DRAIN_TIMEOUT = "10" does not fit; give a time from 0ms to 1h, such as "30s"',
    ])
    assert.deepEqual(await problems({ flags: { 'log-level': 'loud' } }), [
      '--log-level = "loud" does not fit; give one of "debug", "info", "warn", "error"',
    ])
  })

  it('reports every problem, not only the first', async () => {
    assert.equal((await problems({ toml: 'port = -1\nhost = 4\nprot = 1' })).length, 3)
  })

  it('refuses keys it does not know and guesses what was meant', async () => {
    assert.deepEqual(await problems({ toml: 'prot = 5672' }), [
      'warren.toml:1: prot: there is no such option; did you mean port?',
    ])
    assert.deepEqual(await problems({ toml: '[memroy]\nwatermark = 0.5' }), [
      'warren.toml:2: memroy.watermark: there is no such option; did you mean memory.watermark?',
    ])
    assert.deepEqual(await problems({ toml: 'quorum = 5' }), [
      'warren.toml:1: quorum: there is no such option; `warren serve --help` lists all options',
    ])
    assert.deepEqual(await problems({ environment: { WARREN_PROT: '1' } }), [
      'WARREN_PROT: there is no such option; did you mean WARREN_PORT?',
    ])
  })

  it('warns of other WARREN_ variables and passes over those of Kubernetes', async () => {
    const { warnings, config } = await load({
      environment: { WARREN_PORT: 'tcp://10.0.0.1:5672', WARREN_SERVICE_HOST: '10.0.0.1', WARREN_ANYTHING_ELSE: '1' },
    })
    assert.equal(config.port, 5672)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /WARREN_ANYTHING_ELSE/)
  })

  it('says where a file stops being TOML, and when it cannot be read', async () => {
    const [syntax = ''] = await problems({ toml: 'port = 1\nhost = localhost\n' })
    assert.match(syntax, /^warren\.toml:2:\d+: this is not TOML \(.+\); write key = value, text in quotes$/)
    assert.deepEqual(await problems({ file: 'missing.toml' }), [
      'missing.toml: the configuration file cannot be read (ENOENT); give --config a file that can',
    ])
  })

  it('writes one sentence per problem, without line breaks', async () => {
    const toml = 'port = "a\\nb"\n[disk]\nfree-min = [1,\n2]\n'
    for (const problem of await problems({ toml })) assert.doesNotMatch(problem, /\n/)
  })
})

describe('units', () => {
  it('are written as they are read', () => {
    for (const value of [0, 1, 1000, 1024, 1500, 65536, 3_600_000]) {
      assert.equal(parseMeasure(formatMeasure(value, byteUnits), byteUnits), value)
      assert.equal(parseMeasure(formatMeasure(value, durationUnits), durationUnits), value)
    }
  })

  it('refuse what has no unit or another one', () => {
    for (const written of ['', '10', 'MiB', '10 parsec', '-1s', '1s ago']) {
      assert.equal(parseMeasure(written, durationUnits), null, written)
    }
  })
})

interface Given {
  readonly toml?: string
  readonly files?: Readonly<Record<string, string>>
  readonly file?: string
  readonly environment?: ConfigSources['environment']
  readonly flags?: Readonly<Record<string, string>>
}

async function load(given: Given): ReturnType<typeof loadConfig> {
  const files: Readonly<Record<string, string>> = {
    ...given.files,
    ...(given.toml === undefined ? {} : { 'warren.toml': given.toml }),
  }
  return loadConfig({
    file: given.file ?? (given.toml === undefined ? null : 'warren.toml'),
    flags: new Map(Object.entries(given.flags ?? {})),
    environment: given.environment ?? {},
    readText: (path) => files[path] ?? missing(),
  })
}

async function problems(given: Given): Promise<readonly string[]> {
  try {
    await load(given)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  throw new assert.AssertionError({ message: 'the configuration was accepted' })
}

function missing(): never {
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
}
