// Runs before the first paint, so that a chosen theme never flashes in the other one.
try {
  var theme = JSON.parse(localStorage.getItem('banter.preferences') || '{}').theme;
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch (_) {
  // Storage is blocked or holds something else: the system's theme it is.
}
