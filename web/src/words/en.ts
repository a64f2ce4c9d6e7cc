import type { Fault } from '../conversation/types';

/** Every visible word. The shape of this object is the dictionary's type; `zh.ts` must fill it. */
export const en = {
  // The frame of the page.
  tagline: 'Ask anything. The answer appears while it is written, and Stop really stops it.',
  suggestionsLabel: 'Things to try',
  suggestions: {
    model: [
      'Explain how a hash table works, with an example',
      'Write a poem about spring',
      'Write quicksort in Python',
      'Help me plan three days in Hangzhou',
    ],
    demo: [
      'What is the weather in Beijing today?',
      'Write a poem about spring',
      'Write quicksort in Python',
      'How do I start a real Qwen2.5?',
    ],
  },
  conversationLabel: 'Conversation',
  you: 'You',
  skipToComposer: 'Skip to the message field',
  newestWords: 'Newest words',
  titleWriting: (title: string) => `Writing… · ${title}`,
  titleDone: (title: string) => `Answer ready · ${title}`,

  // Header.
  clear: 'Clear',
  clearHint: 'Clear the conversation',
  pageMenu: 'Page',
  settings: 'Settings',
  switchLanguage: 'Switch to Chinese',
  switchLanguageShort: '中',
  theme: { auto: 'Theme: same as the system', light: 'Theme: light', dark: 'Theme: dark' },

  // Composer.
  messageLabel: 'Your message',
  messagePlaceholder: 'Write a message',
  send: 'Send',
  stop: 'Stop',
  sendShortcut: 'Enter sends, Shift + Enter starts a new line',
  instructionActive: 'Instruction active',
  instructionHint: 'An instruction for the model applies to every answer. Change it',
  stopShortcut: 'Esc stops',

  // The status line.
  connecting: 'Connecting…',
  connected: (model: string) => `Connected · ${model}`,
  demoModel: 'demo model',
  loading: (percent: number) => `The model is loading… ${percent} %`,
  reconnecting: 'Reconnecting… your words are safe',
  away: 'The server does not answer. Trying again… your words are safe',
  full: 'The server has no free connection. Trying again…',
  stalled: 'The server answers, but its engine is stuck. Trying again…',
  unreachable: 'The engine behind this server does not answer. Trying again…',
  locked: 'This server asks for a key',
  retryNow: 'Try now',
  reading: 'Reading your message…',
  writing: 'Writing…',
  wordCount: (words: number) => (words === 1 ? '1 word' : `${words} words`),
  stopping: 'Stopping…',
  stoppedAfter: (words: number) =>
    words === 1 ? 'Stopped after 1 word' : `Stopped after ${words} words`,
  stoppedBefore: 'Stopped before the first word',
  stoppedInVain: 'Stopped before the first word; the earlier answer is kept',
  cleared: 'Cleared',
  removed: {
    cleared: 'The cleared conversation is kept',
    replaced: 'The earlier version is kept',
    clear_undone: 'The cleared conversation is back',
    undone: 'The other version is kept',
  },
  undo: 'Undo',
  redo: 'Redo',
  notKept: 'This conversation is too long to be kept for the next visit',

  // Messages.
  copied: 'Copied',
  copyMessage: 'Copy this message',
  thinking: 'Thinking…',
  thought: (seconds: number | null) =>
    seconds === null ? 'Thought' : `Thought for ${Math.max(1, Math.round(seconds))} s`,
  taskDone: 'Done',
  taskOpen: 'To do',
  copyCode: 'Copy the code',
  regenerate: 'Answer again',
  editMessage: 'Edit this message',
  editHint: 'Sending replaces this message and what came after it; Undo brings both back',
  cancelEdit: 'Cancel',
  askAgain: 'Ask again',
  editQuestion: 'Edit the question',
  openSettings: 'Open the settings',
  reloadPage: 'Reload the page',
  continueAnswer: 'Continue',
  /** Sent as a message of the person. */
  continueMessage: 'Please continue from where your last answer ended.',
  showMore: 'Show more',
  showLess: 'Show less',
  figures: (firstWordSeconds: string, wordsPerSecond: string | null) =>
    wordsPerSecond === null
      ? `first word ${firstWordSeconds} s`
      : `first word ${firstWordSeconds} s · ${wordsPerSecond} words/s`,
  cutAt: (tokens: number | null) =>
    tokens === null ? 'Cut before its end.' : `Cut at ${tokens.toLocaleString('en')} tokens.`,
  cutEmpty: 'All tokens were used up before the first word. Allow a longer answer.',
  filtered: "The engine's filter held back the rest.",
  filteredEmpty: "The engine's filter held back the answer.",
  unavailable: 'The engine lacked the resources to continue. What had arrived is kept.',
  unavailableEmpty: 'The engine lacked the resources to answer. Your message is kept.',
  unfinished: 'The answer ended before it was complete.',
  elsewhere: 'Another window of this browser is writing this answer.',
  inVain: 'The earlier answer is kept.',
  interrupted: 'The connection ended here. What had arrived is kept.',
  interruptedEmpty: 'The connection ended before the first word. Your message is kept.',
  cut: (count: number) =>
    count === 1
      ? 'The first message no longer fits; the model reads from here'
      : `The first ${count} messages no longer fit; the model reads from here`,

  // Why there is no answer, and what to do.
  fault: (fault: Fault): string => {
    switch (fault.code) {
      case 'busy':
        return `The server is busy${place(fault)}. Your message is kept; ask again in a moment.`;
      case 'timeout':
        return 'The answer took too long and was given up. Your message is kept; ask again, or ask for less.';
      case 'too_long':
        return `This message is too long for the model${size(fault)}. Shorten it, or send it in parts.`;
      case 'too_large':
        return 'This message is larger than the server accepts. Shorten it, or send it in parts.';
      case 'invalid_parameter':
        return `The server did not accept a setting${setting(fault)}. Change it in the settings and ask again.`;
      case 'bad_json':
        return 'The server did not understand this page. Reload it: page and server may have different versions.';
      default:
        return 'The server had a problem with this answer. Your message is kept; ask again.';
    }
  },
  faultDetail: 'What the server said',

  // Notices that stay.
  demoNotice: 'Demo model: knows very little.',
  chooseReal: 'Choose another',
  dismiss: 'Dismiss',
  demoCommand: 'This command starts a real model:',
  copyCommand: 'Copy the command',
  insecureNotice: 'No key is needed: everyone who can reach this address can use this server.',

  // Sign-in.
  signInTitle: 'This server asks for a key',
  signInText:
    'The server printed it when it started. This browser then keeps a cookie that scripts cannot read.',
  keyLabel: 'Key',
  signIn: 'Enter',
  signOut: 'Sign out',
  keyRefused: 'The server does not know this key.',
  tooOften: 'Too many wrong keys. Wait a minute, then try again.',
  codeRefused:
    'This link was used before or is older than ten minutes. Enter the key, or open a new link.',

  // Models.
  models: 'Models',
  chooseModel: (current: string) => `Model: ${current}. Choose another`,
  bytes: (bytes: number, about = false) => `${about ? 'about ' : ''}${showBytes(bytes)}`,
  needsMemory: (size: string, lacking: boolean) =>
    `needs ${size} of memory${lacking ? ', more than is free now' : ''}`,
  answersNow: 'answers now',
  use: 'Use',
  useModel: (name: string) => `Use ${name}`,
  pull: 'Download',
  pullModel: (name: string) => `Download ${name}`,
  resume: (percent: number) => `Resume · ${percent} %`,
  licenceTerms: (licence: string) =>
    `Its licence, ${licence}, has terms of its own. Read them where the model is published.`,
  tooLargeNow: 'It does not fit in the memory that is free now, so you could not use it here.',
  acceptAndPull: 'Accept and download',
  pullAnyway: 'Download anyway',
  cancel: 'Cancel',
  otherModel: 'Another model',
  otherModelHint: 'from Hugging Face (hf:) or ModelScope (ms:)',
  otherModelRefused: 'This is not the name of a model. Names look like hf:owner/repo:q4_k_m.',
  adminHint:
    "Only administrators can download and switch models: on the server's machine, or with its admin key.",
  adminKey: 'Admin key',
  looking: 'Looking for the model…',
  checking: 'Checking the download…',
  hubWaits: 'waiting for the hub',
  perSecond: (size: string) => `${size}/s`,
  timeLeft: (seconds: number) =>
    seconds < 90
      ? `about ${Math.max(1, Math.round(seconds))} s`
      : `about ${Math.round(seconds / 60)} min`,
  pulling: (name: string) => `Downloading ${name}`,
  pullStopped: (name: string) =>
    `${name}: stopped. The downloaded part is kept; download it again to resume.`,
  notPulled: (name: string) => `${name} was not downloaded`,
  switching: (name: string) => `Loading ${name}`,
  oldOneAnswers: 'Until it is ready, the current model answers.',
  notSwitched: (name: string) => `${name} could not be loaded; nothing has changed`,

  // Settings.
  close: 'Close',
  parameterNames: {
    maxTokens: 'Longest answer',
    temperature: 'Temperature',
    topP: 'Top p',
    repetitionPenalty: 'Repetition penalty',
  },
  parameterHints: {
    maxTokens: 'in tokens; a word has one or two',
    temperature: '0 always picks the likeliest word; higher values are more surprising',
    topP: 'leaves out unlikely words; 1 leaves out none',
    repetitionPenalty: '1 is none; a little above 1 avoids repetition',
  },
  systemPrompt: 'Instruction for the model',
  systemPromptHint: 'applies to every answer from now on',
  systemPromptPlaceholder: 'For example: answer briefly.',
  range: (least: string, most: string) => `${least} to ${most}`,
  outOfRange: (least: string, most: string) => `Please stay between ${least} and ${most}.`,
  notWhole: (least: string, most: string) =>
    `Please enter a whole number between ${least} and ${most}.`,
  engineDefault: 'engine default',
  unknownToEngine: 'The engine behind this server does not know this setting; it is not sent.',
  reset: 'Back to the defaults',
};

export type Words = typeof en;

/** In the units that hubs and disks are sold in. */
export function showBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.round(bytes / 1e3)} kB`;
}

function place(fault: Fault): string {
  if (fault.position === undefined) return '';
  const wait =
    fault.estimateMs === undefined ? '' : `, about ${Math.ceil(fault.estimateMs / 1000)} s`;
  return ` (${fault.position} before you${wait})`;
}

function size(fault: Fault): string {
  return fault.tokens === undefined || fault.limit === undefined
    ? ''
    : ` (${fault.tokens} tokens, ${fault.limit} fit)`;
}

function setting(fault: Fault): string {
  if (fault.field === undefined) return '';
  return ` (${fault.field} = ${fault.value ?? '?'}, expected ${fault.range ?? '?'})`;
}
