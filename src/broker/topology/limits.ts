/** How much of everything there may be. Reaching one is refused (406) with a text that names it. */
export const topologyLimits = {
  queuesPerVhostMax: 1_000_000,
  exchangesPerVhostMax: 100_000,
  bindingsPerVhostMax: 2_000_000,
  /** Of either kind; each name is matched with all of them. */
  policiesPerVhostMax: 1_000,
  webhooksPerVhostMax: 1_000,
  globalParametersMax: 1_000,
  /** The value of one, as JSON in UTF-8. */
  globalParameterBytesMax: 64 * 1024,
  /** Lists and objects in one another in such a value. */
  globalParameterDepthMax: 64,
  /** To one queue or exchange. */
  bindingsPerDestinationMax: 200_000,
  /** Arguments of one binding, which a headers exchange compares with each message. */
  bindingArgumentsMax: 256,
  /** One definition as it is stored: what fits the largest frame fits here, and this fits a log's longest record. */
  definitionBytesMax: 256 * 1024,
} as const
