import type { PullOrder } from '../wire';

/** What a person agrees to with a pull. */
export type Agreed = Omit<PullOrder, 'name'>;

export const NOTHING_AGREED: Agreed = { accept_licence: false, even_if_too_large: false };
