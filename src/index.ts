/** The package's face. What is exported here is kept; everything else is inside. */
export { version } from './version.ts'
