/** Exchanges a one-time code or a key for a cookie, and connects with it. */

import type { Phase } from '../conversation/types';
import type { Api, Credential } from './api';
import type { Link } from './link';

export async function signIn(
  credential: Credential,
  { api, link }: { readonly api: Api; readonly link: Link },
  tell: (phase: Phase) => void,
): Promise<void> {
  link.hold();
  const isCode = 'code' in credential;
  tell(isCode ? { kind: 'connecting' } : { kind: 'locked', reason: 'trying' });
  const result = await api.signIn(credential);
  // Somebody may be signed in, or need no key, even if nobody could look at the code.
  if (result === 'in' || (result === 'away' && isCode)) return link.start();
  const refused = isCode ? 'code_refused' : 'key_refused';
  tell({ kind: 'locked', reason: result === 'refused' ? refused : result });
}
