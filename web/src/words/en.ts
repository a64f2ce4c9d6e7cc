import type { FileKind, Reason } from '../attach/attachment';
import type { Failure } from '../changing.svelte';
import type { ImportRefusal } from '../connection/conversations';
import type { ImportReport } from '../wire';
import { showTime, talkEn } from './talk/en';

/** Every visible word. The shape of this object is the dictionary's type; `zh.ts` must fill it. */
export const en = {
  ...talkEn,
  faultDetail: 'What the server said',

  // The frame of the page.
  tagline: 'Ask anything. The answer appears while it is written, and Stop really stops it.',
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
  skipToComposer: 'Skip to the message field',
  titleWriting: (title: string) => `Writing… · ${title}`,
  titleDone: (title: string) => `Answer ready · ${title}`,

  // Header.
  menu: 'Menu',
  pageMenu: 'Page',
  settings: 'Settings',
  switchLanguage: '中文',
  keys: 'Keyboard shortcuts',
  anotherDevice: 'On another device',
  scanIt: (minutes: number) =>
    `Scan it with the camera of your phone. The link signs one device in, within ${minutes} minutes.`,
  linkAsCode: 'The link as a QR code',
  copyLink: 'Copy the link',
  ownCertificate:
    'If this server has made its certificate itself, the browser there warns once. Go on, or compare the fingerprint that the server has printed.',
  notReachable: 'No other device can reach this server. It would if it was started so:',
  linkFailed: 'The server does not answer. Try it once more.',
  theme: { auto: 'Theme: same as the system', light: 'Theme: light', dark: 'Theme: dark' },

  // The list of conversations.
  conversations: 'Conversations',
  showList: 'Show the conversations',
  hideList: 'Hide the conversations',
  search: 'Search',
  searchFailed: 'The search did not succeed. Try it once more.',
  nothingFound: 'Nothing found.',
  moreFound: 'There is more. Add a word to find it.',
  foundCount: (count: number, more: boolean) => `${more ? 'More than ' : ''}${count} found`,
  listMenu: 'All conversations',
  untitled: 'New conversation',
  noConversations: 'Conversations appear here.',
  noneArchived: 'Nothing is archived.',
  archivedList: 'Archived conversations',
  showArchived: 'Show archived ones',
  showListed: 'Back to the others',
  ages: {
    pinned: 'Pinned',
    today: 'Today',
    yesterday: 'Yesterday',
    week: 'Last 7 days',
    month: 'Last 30 days',
    older: 'Older',
  },
  actionsFor: (title: string) => `Actions for “${title}”`,
  rename: 'Rename',
  titleLabel: 'Title',
  pin: 'Pin',
  unpin: 'Unpin',
  archive: 'Archive',
  unarchive: 'Take out of the archive',
  delete: 'Delete',
  deleted: 'Deleted.',
  undo: 'Undo',
  failure: (what: Failure['what'], title: string | null): string => {
    const name = title === null ? 'this conversation' : `“${title}”`;
    switch (what) {
      case 'change':
        return `The server has refused the change of ${name}. What it had before is shown again.`;
      case 'delete':
        return `${title === null ? 'This conversation' : name} could not be deleted. Try it again.`;
      case 'delete_pair':
        return 'The question and its answers could not be deleted. Try it again.';
      case 'sign_out':
        return 'You are still signed in: the server did not answer. Try it again.';
      case 'take_over':
        return 'The server did not take conversations that an earlier version of this page has kept in this browser. They stay there.';
    }
  },
  notKept: 'This browser keeps nothing more. What is not sent is lost when the page closes.',
  notSent: 'Not sent yet',
  exportMarkdown: 'Download as Markdown',
  exportJson: 'Download with all versions (JSON)',
  exportAll: 'Download all (JSON)',
  importFile: 'Import a file',
  importing: 'Importing…',
  imported: ({ conversations, messages, left_out_count }: ImportReport) =>
    `Imported: ${count(conversations, 'conversation')} with ${count(messages, 'message')}.` +
    (left_out_count === 0 ? '' : ` Left out: ${left_out_count}.`),
  importRefused: (file: string, refusal: ImportRefusal | null): string => {
    switch (refusal?.code) {
      case undefined:
        return 'Nothing was imported: the server did not answer.';
      case 'bad_json':
        return `Nothing was imported: “${file}” is not a JSON file. ${WHAT_IS_IMPORTED}`;
      case 'invalid_parameter':
        return refusal?.field === 'version'
          ? `Nothing was imported: a newer banter has written “${file}”. Update this server first.`
          : `Nothing was imported: “${file}” is JSON, but of another kind. ${WHAT_IS_IMPORTED}`;
      case 'too_large':
        return `Nothing was imported: “${file}” is larger than the server takes.`;
      default:
        return 'Nothing was imported: the server had a problem. Try it again.';
    }
  },

  // Composer.
  sendShortcut: 'Enter sends, Shift + Enter starts a new line',
  instructionActive: 'Instruction active',
  instructionHint: 'An instruction for the model applies to every answer. Change it',
  stopShortcut: 'Esc stops',
  sendNext: 'Send after this answer',
  attach: 'Attach files',
  attachedFiles: 'Attached files',
  removeFile: (name: string) => `Remove ${name}`,
  readingFile: 'Reading the file…',
  tokenCount: (tokens: number) => `${tokens.toLocaleString('en')} tokens`,
  fileRefused: (refusal: Reason): string => {
    switch (refusal.reason) {
      case 'empty':
        return 'the file is empty.';
      case 'folder':
        return 'this is a folder. Attach its files instead.';
      case 'unreadable':
        return `the browser cannot read it (${refusal.error}). Is it still there?`;
      case 'tooLarge':
        return `it has ${showBytes(refusal.bytes)}; ${showBytes(refusal.limitBytes)} is the most.`;
      case 'tooMuchText':
        return `it has more than ${showBytes(refusal.limitBytes)} of text. Attach a part of it.`;
      case 'unpacksTooLarge':
        return `it unpacks to more than ${showBytes(refusal.limitBytes)}.`;
      case 'notText':
        return `this is ${FILE_KINDS[refusal.found]}. Only text can be attached, and Word, Excel and PowerPoint files.${
          refusal.found === 'pdf' ? ' Open it and paste its text.' : ''
        }`;
      case 'unknownEncoding':
        return 'its characters are in an encoding that is not recognised. Save it as UTF-8.';
      case 'damaged':
        return 'the file is damaged.';
      case 'locked':
        return 'it is protected by a password.';
      case 'noText':
        return 'there is no text in it.';
    }
  },
  context: 'Context used',
  contextUse: (used: number, room: number) => `${shortCount(used)} of ${shortCount(room)} tokens`,
  demoModel: 'demo model',
  copyMarkdown: 'Copy as Markdown',
  copyPlain: 'Copy as plain text',
  readAloud: 'Read aloud',
  stopReading: 'Stop reading',
  moreActions: 'More actions',
  deletePair: 'Delete question and answers',
  deletePairSurely: 'Press again: it cannot be undone',
  versions: 'Versions',
  earlierVersion: 'Earlier version',
  laterVersion: 'Later version',
  leftOut: 'No longer fits in the context; the model does not read it',
  regenerate: 'Answer again',
  editMessage: 'Edit this message',
  editHint: 'Sending makes another version; this one stays',
  cancelEdit: 'Cancel',
  openSettings: 'Open the settings',
  reloadPage: 'Reload the page',
  showMore: 'Show more',
  showLess: 'Show less',
  figures: (firstWordMs: number | null, rate: string | null, reused: number | null) =>
    [
      firstWordMs === null ? '' : `first word ${showTime(firstWordMs)}`,
      rate === null ? '' : `${rate} words/s`,
      reused === null || reused === 0 ? '' : `${reused.toLocaleString('en')} tokens reused`,
    ]
      .filter((part) => part !== '')
      .join(' · '),
  cut: (count: number) =>
    count === 1
      ? 'The first message no longer fits; the model reads from here'
      : `The first ${count} messages no longer fit; the model reads from here`,

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
  signInUnanswered: 'The server did not answer. Try it again.',
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
  forConversation: 'This conversation',
  forNewConversation: 'The new conversation',
  forBrowser: 'This browser',
  parameterNames: {
    max_tokens: 'Longest answer',
    temperature: 'Temperature',
    top_p: 'Top p',
    repetition_penalty: 'Repetition penalty',
    top_k: 'Top k',
    min_p: 'Min p',
    presence_penalty: 'Presence penalty',
    frequency_penalty: 'Frequency penalty',
    seed: 'Seed',
  },
  parameterHints: {
    max_tokens: 'in tokens; a word has one or two',
    temperature: '0 always picks the likeliest word; higher values are more surprising',
    top_p: 'leaves out unlikely words; 1 leaves out none',
    repetition_penalty: '1 is none; a little above 1 avoids repetition',
    top_k: 'keeps this many of the likeliest tokens; 0 keeps all',
    min_p: 'leaves out tokens far less likely than the likeliest; 0 leaves out none',
    presence_penalty: 'avoids words that the answer has already',
    frequency_penalty: 'avoids words the more, the more often the answer has them',
    seed: 'the same seed gives the same answer',
  },
  moreParameters: 'More parameters',
  drawnSeed: 'drawn',
  systemPrompt: 'Instruction for the model',
  systemPromptHint: 'applies to every answer in this conversation from now on',
  systemPromptPlaceholder: 'For example: answer briefly.',
  range: (least: string, most: string) => `${least} to ${most}`,
  outOfRange: (least: string, most: string) => `Please stay between ${least} and ${most}.`,
  notWhole: (least: string, most: string) =>
    `Please enter a whole number between ${least} and ${most}.`,
  engineDefault: 'engine default',
  unknownToEngine: 'The engine behind this server does not know this setting; it is not sent.',
  reset: 'Back to the defaults',
  presets: 'Presets',
  presetName: 'Name of a preset',
  keepPreset: 'Keep',
  usePreset: (name: string) => `Use “${name}”`,
  removePreset: (name: string) => `Remove “${name}”`,
  tooManyPresets: (most: number) =>
    `There are ${most} presets, the most that are kept. Remove one.`,
  preparesWhileTyping: 'Prepare while I type',
  preparesHint: 'sends the text ahead, so that the first word comes sooner; it is not stored',
  notifies: 'Tell me when an answer is done',
  notifiesHint: 'by a notification, while this page is hidden',
  signOutHint: 'Drafts, unsent messages and presets are removed from this browser.',

  // Keys.
  keySend: 'Send',
  keyLine: 'Start a line',
  keyStop: 'Stop the answer',
  keyList: 'Show or hide the conversations',
};

const WHAT_IS_IMPORTED =
  'Choose a file that banter, ChatGPT (conversations.json) or Open WebUI has exported.';

const FILE_KINDS: Record<FileKind, string> = {
  archive: 'an archive',
  database: 'a database',
  font: 'a font',
  image: 'a picture',
  oldOffice: 'an Office file of the kind before 2007',
  otherDocument: 'a document of another program',
  pdf: 'a PDF file',
  program: 'a program',
  richText: 'an RTF file',
  sound: 'a sound',
  unknown: 'no text',
  video: 'a film',
};

export type Words = typeof en;

/** In the units that hubs and disks are sold in. */
export function showBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.round(bytes / 1e3)} kB`;
}

function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? '' : 's'}`;
}

/** 1,234 as people read it in passing. */
function shortCount(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)} k`;
}
