import { statfsSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'

/** Where the figures come from; belongs beside every table. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  /** File system under the temporary data directories. */
  readonly fileSystem: string
}

const fileSystems: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
  801189825: 'zfs',
}

export function describeMachine(directory: string): Machine {
  const type = statfsSync(directory).type
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    fileSystem: fileSystems[type] ?? `type 0x${type.toString(16)}`,
  }
}

export function showMachine(machine: Machine): string {
  const { cpu, cores, memoryGb, system, node, fileSystem } = machine
  return `${cpu}, ${cores} cores, ${memoryGb} GB, ${system}, Node ${node}, ${fileSystem}`
}

/** On tmpfs a sync costs nothing, so persistent rows say nothing there. */
export function hasRealDisk(machine: Machine): boolean {
  return machine.fileSystem !== 'tmpfs'
}
