import type { Row } from './row.ts'
import type { JobOptions } from './row-jobs.ts'
import type { Target } from './target/target.ts'
import type { Watch } from './watch.ts'

/** All that one run needs to know. */
export interface RunContext {
  readonly row: Row
  readonly target: Target
  readonly jobs: JobOptions
  readonly watch: Watch
  readonly seconds: number
  readonly warmUpSeconds: number
}
