/**
 * Leaves of uPlot what the dashboard's charts use: lines over time on linear scales, with a pointer. Its features are
 * switches that are looked at while it runs; here they are decided while the dashboard is built, so that the minifier
 * drops the code behind them, which is a third of uPlot. A change that does not fit any more (uPlot has become another)
 * ends the build, so nothing is left out by halves. The tests of the dashboard draw charts with what is left.
 */

/** A Vite plugin. */
export function trimUplot() {
  return {
    name: 'trim-uplot',
    transform(code, id) {
      return /uPlot\.esm\.js$/.test(id) ? { code: trimmed(code), map: null } : null
    },
  }
}

function trimmed(code) {
  return changes.reduce((left, [what, instead]) => {
    const changed = left.replaceAll(what, instead)
    if (changed === left) throw new Error(`uPlot has become another: there is no ${what} in it`)
    return changed
  }, code)
}

/** A function of uPlot's one large one, or of the module. */
const functionOf = (name) => new RegExp(String.raw`^(\t?)function ${name}\([\s\S]*?\n\1\}\n`, 'gm')

const changes = [
  // Series share their times, which lie on the x axis.
  [/mode: ifNull\(opts\.mode, 1\)/g, 'mode: 1'],
  [/(const|let) mode = (self|u)\.mode;/g, 'const mode = 1;'],
  [/scaleX\.ori == 0/g, 'true'],
  [/scaleX\.ori == 1/g, 'false'],
  // Scales are linear: neither logarithmic, nor by number, nor one's own.
  [/(\w+\.)?distr ==\s+(2|3|4|100)/g, 'false'],
  [/sc\.distr >= 3/g, 'false'],
  // Charts have their own words for times.
  ['const FEAT_TIME          = true', 'const FEAT_TIME = false'],
  [/isTime = mode == 1 && scales\[s\.scale\]\.time/g, 'isTime = false'],
  [/isTime = sc\.time/g, 'isTime = false'],
  [/const \[ timeIncrs.*\n/g, ''],
  [/const _time(AxisSplits|AxisVals|SeriesVal)\s+= .*\n/g, ''],
  [/const _(tzDate|fmtDate)\s+= .*\n/g, ''],
  [/const localTz = .*\n/g, ''],
  ['genIncrs(2, -53, 53, [1]);', ''],
  // Legends are the page's.
  ['const showLegend = legend.show', 'const showLegend = false'],
  [/legend\.live/g, 'false'],
  // Nothing is in focus, nothing is drawn between two lines.
  ['const cursorFocus = focus.prox >= 0', 'const cursorFocus = false'],
  [functionOf('bandFillClipDirs'), 'const bandFillClipDirs = () => [0, 0];\n'],
  [functionOf('clipBandLine'), 'const clipBandLine = () => null;\n'],
  [/^\t\tflags != 0 && bands\.forEach\([\s\S]*?\n\t\t\}\);\n/gm, ''],
  ['let didStrokeFill = false', 'const didStrokeFill = false'],
  [/, gapsClip2, bandClip\) \{/g, ') { const bandClip = null, gapsClip2 = null;'],
  // Nothing is chosen by dragging.
  ['let dragging = false', 'const dragging = false'],
  [/^\t*(if \(_dragging\)\s*)?dragging = (_dragging|false);\n/gm, ''],
  [/select\.show/g, 'false'],
  [functionOf('mouseDown'), ''],
  [functionOf('mouseUp'), ''],
  [functionOf('dblClick'), ''],
  [/onMouse\((mousedown|dblclick),\s+over, \w+\);/g, ''],
  // Charts know nothing of one another.
  [/^\tconst events = \{\};[\s\S]*?(?=\n\tif \(showCursor\))/gm, ''],
  [
    /^\tconst seriesIdxMatcher = [\s\S]*?\tself\.pub = pub;\n/gm,
    '\tconst syncKey = null, syncOpts = {};\n\tfunction pubSync() {}\n',
  ],
  ['sync.unsub(self);', ''],
  // Nor does anybody from outside change series, bands and scales, or draw by other paths.
  [
    /^\tself\.(addSeries|delSeries|addBand|setBand|delBand|setSelect|setLegend|setCursor|posToIdx|valToIdx|posToVal|redraw|batch) = (\w+|val => .*);\n/gm,
    '',
  ],
  [/^uPlot\.assign = assign;[\s\S]*?(?=export \{)/gm, ''],
]
