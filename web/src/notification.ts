/** Notifications of the system. Where there are none, nothing happens. */

const LONGEST_CHARACTERS = 120;

/** Asks the person for the permission; returns whether it is there. */
export async function mayTell(): Promise<boolean> {
  if (!('Notification' in window)) return false;
  return (await Notification.requestPermission()) === 'granted';
}

export async function tell(title: string, text: string): Promise<void> {
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  const options = {
    body: text.slice(0, LONGEST_CHARACTERS),
    tag: 'banter',
    icon: 'assets/icon.svg',
  };
  try {
    const shown = new Notification(title, options);
    shown.onclick = () => window.focus();
  } catch {
    // On a phone only a service worker may show one.
    const registration = await navigator.serviceWorker?.getRegistration();
    await registration?.showNotification(title, options);
  }
}
