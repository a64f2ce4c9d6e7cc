import type { Fault } from '../../conversation/types';
import type { TalkWords } from './en';

export const talkZh: TalkWords = {
  language: 'zh',
  suggestionsLabel: '试试这些',
  conversationLabel: '对话',
  you: '你',
  newestWords: '回到最新',
  newConversation: '新对话',
  gone: '这个对话已经不在了。',

  messageLabel: '你的消息',
  messagePlaceholder: '输入消息',
  send: '发送',
  stop: '停止',
  sendsAfterAnswer: '这次回答结束后发送',
  sendsLater: '恢复连接后发送',
  held: '前一个回答不完整，所以还没有发送',
  sendNow: '现在发送',
  discard: '丢弃',

  connecting: '正在连接…',
  connected: '已连接',
  loading: (percent) => `正在加载模型… ${percent}%`,
  reconnecting: '连接断开，正在重连，内容不会丢失',
  away: '服务器没有响应，正在重试，内容不会丢失',
  full: '服务器的连接已满，正在重试…',
  stalled: '服务器在线，但引擎卡住了，正在重试…',
  unreachable: '服务器在线，但它背后的引擎没有响应，正在重试…',
  locked: '这台服务器需要密钥',
  retryNow: '立即重试',
  reading: '正在读你的消息…',
  writing: '正在写…',
  queued: '排队中…',
  queuePlace: (ahead, estimateMs) =>
    `前面还有 ${ahead} 位${estimateMs === null ? '' : `，约 ${Math.ceil(estimateMs / 1000)} 秒`}`,
  wordCount: (words) => `${words} 字`,
  stopping: '正在停止…',

  copied: '已复制',
  copyMessage: '复制这条消息',
  thinking: '正在思考…',
  thought: (seconds) =>
    seconds === null ? '思考过程' : `思考了 ${Math.max(1, Math.round(seconds))} 秒`,
  taskDone: '已完成',
  taskOpen: '未完成',
  copyCode: '复制代码',
  wrapLines: '长行自动换行',
  downloadCode: '下载代码',
  askAgain: '再问一次',
  editQuestion: '修改问题',
  continueAnswer: '继续',
  stopped: (haltMs, wordCount) =>
    wordCount === 0
      ? '还没开始写就停止了。'
      : `${haltMs === null ? '已' : `${showTime(haltMs)} 后`}停止，保留了 ${wordCount} 字。`,
  cutAt: (tokens) =>
    tokens === null
      ? '没有写完就截断了。'
      : `写到 ${tokens.toLocaleString('en')} 个 token 时截断。`,
  cutEmpty: '还没写出第一个字，token 就用完了。请允许更长的回答。',
  filtered: '其余内容被引擎的过滤器拦下了。',
  filteredEmpty: '这次回答被引擎的过滤器拦下了。',
  unavailable: '引擎资源不足，没能写完。已收到的内容都保留着。',
  unavailableEmpty: '引擎资源不足，没能回答。你的消息还在。',
  unfinished: '回答没有写完就结束了。',
  interrupted: (reason, hasText) => {
    const why = { shutdown: '服务器关闭了', crashed: '服务器意外中断' }[reason as string];
    const what = hasText ? '已收到的内容都保留着。' : '你的消息还在。';
    return `${why ?? '没有页面在看这次回答，所以到这里为止'}，${what}`;
  },

  fault: (fault) => {
    switch (fault.code) {
      case 'busy':
        return `服务器正忙${place(fault)}。你的消息还在，请稍后再问。`;
      case 'timeout':
        return '等待太久，这次回答已放弃。你的消息还在，可以再问一次，或者问得短一些。';
      case 'too_long':
        return `这条消息太长，模型读不完${size(fault)}。请缩短，或分几次发送。`;
      case 'too_large':
        return '这条消息超过了服务器能接收的大小。请缩短，或分几次发送。';
      case 'answer_running':
        return '这里还有一个回答正在写，请等它结束后再发送。';
      case 'unknown_conversation':
      case 'unknown_message':
      case 'not_an_answer':
      case 'not_a_user_message':
        return '相关的消息已经不在了，可能在别处被删除。';
      case 'answer_complete':
        return '这个回答已经完整。';
      case 'store_full':
        return '服务器留给对话的空间已满。请删除一些对话后再问。';
      case 'store_failed':
        return '服务器无法保存对话。你的消息还在这里，请再问一次，并告诉管理服务器的人。';
      case 'unavailable':
        return '模型还没准备好。你的消息还在，请稍后再问。';
      case 'invalid_parameter':
        return `服务器不接受某项设置${setting(fault)}。请在设置里修改后再问。`;
      case 'bad_json':
        return '服务器看不懂这个页面发来的内容。两边的版本可能不同，请刷新页面。';
      default:
        return '这次回答出了问题。你的消息还在，请再问一次。';
    }
  },

  close: '关闭',
};

/** Milliseconds below a second, seconds from there on. */
export function showTime(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} 秒`;
  return ms < 10 ? `${ms.toFixed(1)} 毫秒` : `${Math.round(ms)} 毫秒`;
}

function place({ position, retry_after_ms: wait }: Fault): string {
  if (position === undefined) return '';
  return `（前面还有 ${position} 位${wait === undefined ? '' : `，约 ${Math.ceil(wait / 1000)} 秒`}）`;
}

function size(fault: Fault): string {
  return fault.tokens === undefined || fault.limit === undefined
    ? ''
    : `（共 ${fault.tokens} 个 token，最多 ${fault.limit} 个）`;
}

function setting(fault: Fault): string {
  if (fault.field === undefined) return '';
  return `（${fault.field} = ${fault.found ?? '?'}，应为 ${fault.expected ?? '?'}）`;
}
