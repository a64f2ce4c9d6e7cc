import type { Fault } from '../conversation/types';
import { showBytes, type Words } from './en';

export const zh: Words = {
  tagline: '想问什么就问。回答边生成边显示，点停止就真的停止。',
  suggestionsLabel: '试试这些',
  suggestions: {
    model: [
      '用一个例子讲讲哈希表的原理',
      '写一首春天的诗',
      '用 Python 写一个快速排序',
      '帮我安排三天的杭州行程',
    ],
    demo: [
      '今天北京天气怎么样？',
      '写一首春天的诗',
      '用 Python 写一个快速排序',
      '怎么启动真正的 Qwen2.5？',
    ],
  },
  conversationLabel: '对话',
  you: '你',
  skipToComposer: '跳到输入框',
  newestWords: '回到最新',
  titleWriting: (title) => `正在写… · ${title}`,
  titleDone: (title) => `回答好了 · ${title}`,

  clear: '清空',
  clearHint: '清空对话',
  pageMenu: '页面',
  settings: '设置',
  switchLanguage: '切换到英文',
  switchLanguageShort: 'En',
  theme: { auto: '主题：跟随系统', light: '主题：浅色', dark: '主题：深色' },

  messageLabel: '你的消息',
  messagePlaceholder: '输入消息',
  send: '发送',
  stop: '停止',
  sendShortcut: 'Enter 发送，Shift + Enter 换行',
  instructionActive: '指示生效中',
  instructionHint: '给模型的指示对每次回答都有效，点击修改',
  stopShortcut: 'Esc 停止',

  connecting: '正在连接…',
  connected: (model) => `已连接 · ${model}`,
  demoModel: '演示模型',
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
  wordCount: (words) => `${words} 字`,
  stopping: '正在停止…',
  stoppedAfter: (words) => `写到 ${words} 字时停止`,
  stoppedBefore: '还没开始写就停止了',
  stoppedInVain: '还没开始写就停止了，原来的回答还在',
  cleared: '已清空',
  removed: {
    cleared: '清空的对话还保留着',
    replaced: '原来的版本还保留着',
    clear_undone: '清空的对话已恢复',
    undone: '另一个版本还保留着',
  },
  undo: '撤销',
  redo: '重做',
  notKept: '对话太长，下次打开时无法恢复',

  copied: '已复制',
  copyMessage: '复制这条消息',
  thinking: '正在思考…',
  thought: (seconds) =>
    seconds === null ? '思考过程' : `思考了 ${Math.max(1, Math.round(seconds))} 秒`,
  taskDone: '已完成',
  taskOpen: '未完成',
  copyCode: '复制代码',
  regenerate: '重新生成',
  editMessage: '编辑这条消息',
  editHint: '发送后会替换这条消息及其后的内容，撤销可以恢复',
  cancelEdit: '取消',
  askAgain: '再问一次',
  editQuestion: '修改问题',
  openSettings: '打开设置',
  reloadPage: '刷新页面',
  continueAnswer: '继续',
  continueMessage: '请从上次中断的地方接着写。',
  showMore: '展开',
  showLess: '收起',
  figures: (firstWordSeconds, wordsPerSecond) =>
    wordsPerSecond === null
      ? `首字 ${firstWordSeconds} 秒`
      : `首字 ${firstWordSeconds} 秒 · 每秒 ${wordsPerSecond} 字`,
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
  elsewhere: '这个浏览器的另一个窗口正在写这次回答。',
  inVain: '原来的回答还在。',
  interrupted: '连接在这里断开，已收到的内容都保留着。',
  interruptedEmpty: '还没收到回答连接就断开了，你的消息还在。',
  cut: (count) => `最早的 ${count} 条消息已放不下，模型从这里开始读`,

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
      case 'invalid_parameter':
        return `服务器不接受某项设置${setting(fault)}。请在设置里修改后再问。`;
      case 'bad_json':
        return '服务器看不懂这个页面发来的内容。两边的版本可能不同，请刷新页面。';
      default:
        return '这次回答出了问题。你的消息还在，请再问一次。';
    }
  },
  faultDetail: '服务器的原话',

  demoNotice: '演示模型，懂得很少。',
  chooseReal: '更换模型',
  dismiss: '知道了',
  demoCommand: '用这条命令启动真正的模型：',
  copyCommand: '复制命令',
  insecureNotice: '没有设置密钥，能访问这个地址的人都可以使用。',

  signInTitle: '这台服务器需要密钥',
  signInText: '密钥在服务器启动时显示。登录后，浏览器只保存一个脚本无法读取的 cookie。',
  keyLabel: '密钥',
  signIn: '进入',
  signOut: '退出登录',
  keyRefused: '密钥不对，请检查后再试。',
  tooOften: '错误的密钥太多，请一分钟后再试。',
  codeRefused: '这个链接已经用过，或者超过了十分钟。请输入密钥，或打开新的链接。',

  models: '模型',
  chooseModel: (current) => `当前模型：${current}，点击更换`,
  bytes: (bytes, about = false) => `${about ? '约 ' : ''}${showBytes(bytes)}`,
  needsMemory: (size, lacking) => `需要内存 ${size}${lacking ? '，超过目前可用的' : ''}`,
  answersNow: '正在使用',
  use: '使用',
  useModel: (name) => `使用 ${name}`,
  pull: '下载',
  pullModel: (name) => `下载 ${name}`,
  resume: (percent) => `继续 · ${percent}%`,
  licenceTerms: (licence) => `它的许可证 ${licence} 另有条款，请先在模型的发布页面阅读。`,
  tooLargeNow: '目前可用的内存放不下它，下载后也无法在这里使用。',
  acceptAndPull: '接受并下载',
  pullAnyway: '仍然下载',
  cancel: '取消',
  otherModel: '其他模型',
  otherModelHint: '来自 Hugging Face（hf:）或魔搭 ModelScope（ms:）',
  otherModelRefused: '这不是模型的名称。名称的样子是 hf:owner/repo:q4_k_m。',
  adminHint: '下载和更换模型只限管理员：在服务器本机上操作，或使用管理员密钥。',
  adminKey: '管理员密钥',
  looking: '正在查找…',
  checking: '正在校验…',
  hubWaits: '正在等待模型仓库响应',
  perSecond: (size) => `每秒 ${size}`,
  timeLeft: (seconds) =>
    seconds < 90
      ? `约 ${Math.max(1, Math.round(seconds))} 秒`
      : `约 ${Math.round(seconds / 60)} 分钟`,
  pulling: (name) => `正在下载 ${name}`,
  pullStopped: (name) => `${name}：已停止，已下载的部分都保留着，再次下载即可继续。`,
  notPulled: (name) => `${name} 没有下载成功`,
  switching: (name) => `正在加载 ${name}`,
  oldOneAnswers: '加载完成之前，仍由现在的模型回答。',
  notSwitched: (name) => `${name} 无法加载，仍使用原来的模型`,

  close: '关闭',
  parameterNames: {
    maxTokens: '最长回答',
    temperature: '温度',
    topP: 'Top p',
    repetitionPenalty: '重复惩罚',
  },
  parameterHints: {
    maxTokens: '以 token 计，一个汉字约一个',
    temperature: '0 总选最可能的字；越高越出人意料',
    topP: '去掉可能性低的字；1 为不去掉',
    repetitionPenalty: '1 为不惩罚，略高于 1 可减少重复',
  },
  systemPrompt: '给模型的指示',
  systemPromptHint: '对之后的每次回答都有效',
  systemPromptPlaceholder: '例如：回答要简短。',
  range: (least, most) => `${least} 到 ${most}`,
  outOfRange: (least, most) => `请填 ${least} 到 ${most} 之间的数。`,
  notWhole: (least, most) => `请填 ${least} 到 ${most} 之间的整数。`,
  engineDefault: '引擎默认',
  unknownToEngine: '服务器背后的引擎不支持这项设置，不会发送。',
  reset: '恢复默认',
};

function place(fault: Fault): string {
  if (fault.position === undefined) return '';
  const wait =
    fault.estimateMs === undefined ? '' : `，约 ${Math.ceil(fault.estimateMs / 1000)} 秒`;
  return `（前面还有 ${fault.position} 位${wait}）`;
}

function size(fault: Fault): string {
  return fault.tokens === undefined || fault.limit === undefined
    ? ''
    : `（共 ${fault.tokens} 个 token，最多 ${fault.limit} 个）`;
}

function setting(fault: Fault): string {
  if (fault.field === undefined) return '';
  return `（${fault.field} = ${fault.value ?? '?'}，应为 ${fault.range ?? '?'}）`;
}
