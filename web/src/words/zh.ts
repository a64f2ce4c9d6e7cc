import type { FileKind } from '../attach/attachment';
import { showBytes, type Words } from './en';
import { showTime, talkZh } from './talk/zh';

export const zh: Words = {
  ...talkZh,
  faultDetail: '服务器的原话',

  tagline: '想问什么就问。回答边生成边显示，点停止就真的停止。',
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
  skipToComposer: '跳到输入框',
  titleWriting: (title) => `正在写… · ${title}`,
  titleDone: (title) => `回答好了 · ${title}`,

  menu: '菜单',
  pageMenu: '页面',
  settings: '设置',
  switchLanguage: 'English',
  keys: '键盘快捷键',
  anotherDevice: '在其他设备上使用',
  scanIt: (minutes: number) => `用手机相机扫描。此链接在 ${minutes} 分钟内可让一台设备登录。`,
  linkAsCode: '链接的二维码',
  copyLink: '复制链接',
  ownCertificate:
    '如果证书由本服务器自行生成，那台设备的浏览器会警告一次。可以继续访问，也可以先核对服务器启动时显示的指纹。',
  notReachable: '其他设备无法访问此服务器。用下面的命令启动即可：',
  linkFailed: '服务器没有应答，请再试一次。',
  theme: { auto: '主题：跟随系统', light: '主题：浅色', dark: '主题：深色' },

  conversations: '全部对话',
  showList: '显示对话列表',
  hideList: '隐藏对话列表',
  search: '搜索',
  searchFailed: '搜索没有成功，请再试一次。',
  nothingFound: '没有找到。',
  moreFound: '还有更多结果，再加一个词就能缩小范围。',
  foundCount: (count, more) => `找到${more ? '超过' : ''} ${count} 处`,
  listMenu: '对话列表的操作',
  untitled: '新对话',
  noConversations: '对话会显示在这里。',
  noneArchived: '没有已归档的对话。',
  archivedList: '已归档的对话',
  showArchived: '查看已归档的',
  showListed: '返回',
  ages: {
    pinned: '置顶',
    today: '今天',
    yesterday: '昨天',
    week: '7 天内',
    month: '30 天内',
    older: '更早',
  },
  actionsFor: (title) => `“${title}”的操作`,
  rename: '重命名',
  titleLabel: '标题',
  pin: '置顶',
  unpin: '取消置顶',
  archive: '归档',
  unarchive: '取消归档',
  delete: '删除',
  deleted: '已删除。',
  undo: '撤销',
  failure: (what, title) => {
    const name = title === null ? '这个对话' : `“${title}”`;
    switch (what) {
      case 'change':
        return `服务器没有接受对${name}的修改，现在显示的是修改前的内容。`;
      case 'delete':
        return `${name}没有删除成功，请再试一次。`;
      case 'delete_pair':
        return '这组问答没有删除成功，请再试一次。';
      case 'sign_out':
        return '还没有退出登录：服务器没有响应，请再试一次。';
      case 'take_over':
        return '旧版页面保存在浏览器里的对话，服务器没有接受。这些对话仍然留在浏览器里。';
    }
  },
  notKept: '浏览器存不下更多内容了。关闭页面后，没有发送的文字会丢失。',
  notSent: '还没有发送',
  exportMarkdown: '下载为 Markdown',
  exportJson: '下载全部版本（JSON）',
  exportAll: '下载全部对话（JSON）',
  importFile: '导入文件',
  importing: '正在导入…',
  imported: ({ conversations, messages, left_out_count }) =>
    `已导入 ${conversations} 个对话，共 ${messages} 条消息。` +
    (left_out_count === 0 ? '' : `有 ${left_out_count} 处没有导入。`),
  importRefused: (file, refusal) => {
    switch (refusal?.code) {
      case undefined:
        return '没有导入：服务器没有响应。';
      case 'bad_json':
        return `没有导入：“${file}”不是 JSON 文件。${WHAT_IS_IMPORTED}`;
      case 'invalid_parameter':
        return refusal?.field === 'version'
          ? `没有导入：“${file}”是更新版本的 banter 导出的，请先升级这台服务器。`
          : `没有导入：“${file}”虽然是 JSON，但不是对话的导出文件。${WHAT_IS_IMPORTED}`;
      case 'too_large':
        return `没有导入：“${file}”超过了服务器接受的大小。`;
      default:
        return '没有导入：服务器出了问题，请再试一次。';
    }
  },
  sendShortcut: 'Enter 发送，Shift + Enter 换行',
  instructionActive: '指示生效中',
  instructionHint: '给模型的指示对每次回答都有效，点击修改',
  stopShortcut: 'Esc 停止',
  sendNext: '这次回答之后发送',
  attach: '添加文件',
  attachedFiles: '附带的文件',
  removeFile: (name) => `移除 ${name}`,
  readingFile: '正在读取文件…',
  tokenCount: (tokens) => `${tokens.toLocaleString('en')} 个 token`,
  fileRefused: (refusal) => {
    switch (refusal.reason) {
      case 'empty':
        return '文件是空的。';
      case 'folder':
        return '这是一个文件夹，请选择其中的文件。';
      case 'unreadable':
        return `浏览器读不了这个文件（${refusal.error}），它还在原处吗？`;
      case 'tooLarge':
        return `文件有 ${showBytes(refusal.bytes)}，最多 ${showBytes(refusal.limitBytes)}。`;
      case 'tooMuchText':
        return `文字超过 ${showBytes(refusal.limitBytes)}，请只添加其中一部分。`;
      case 'unpacksTooLarge':
        return `解压后超过 ${showBytes(refusal.limitBytes)}。`;
      case 'notText':
        return `这是${FILE_KINDS[refusal.found]}。只能添加文本，以及 Word、Excel 和 PowerPoint 文件。${
          refusal.found === 'pdf' ? '请打开它，把文字粘贴过来。' : ''
        }`;
      case 'unknownEncoding':
        return '无法识别文件的编码，请另存为 UTF-8。';
      case 'damaged':
        return '文件已损坏。';
      case 'locked':
        return '文件有密码保护。';
      case 'noText':
        return '里面没有文字。';
    }
  },
  context: '上下文用量',
  contextUse: (used, room) => `${shortCount(used)} / ${shortCount(room)} token`,
  demoModel: '演示模型',
  copyMarkdown: '复制为 Markdown',
  copyPlain: '复制为纯文本',
  readAloud: '朗读',
  stopReading: '停止朗读',
  moreActions: '更多操作',
  deletePair: '删除这组问答',
  deletePairSurely: '再按一次删除，无法恢复',
  versions: '版本',
  earlierVersion: '上一个版本',
  laterVersion: '下一个版本',
  leftOut: '上下文已放不下，模型不会读到',
  regenerate: '重新生成',
  editMessage: '编辑这条消息',
  editHint: '发送后会成为另一个版本，这一个仍然保留',
  cancelEdit: '取消',
  openSettings: '打开设置',
  reloadPage: '刷新页面',
  showMore: '展开',
  showLess: '收起',
  figures: (firstWordMs, rate, reused) =>
    [
      firstWordMs === null ? '' : `首字 ${showTime(firstWordMs)}`,
      rate === null ? '' : `每秒 ${rate} 字`,
      reused === null || reused === 0 ? '' : `复用 ${reused.toLocaleString('en')} 个 token`,
    ]
      .filter((part) => part !== '')
      .join(' · '),
  cut: (count) => `最早的 ${count} 条消息已放不下，模型从这里开始读`,

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
  signInUnanswered: '服务器没有响应，请再试一次。',
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
  forConversation: '这个对话',
  forNewConversation: '新对话',
  forBrowser: '这个浏览器',
  parameterNames: {
    max_tokens: '最长回答',
    temperature: '温度',
    top_p: 'Top p',
    repetition_penalty: '重复惩罚',
    top_k: 'Top k',
    min_p: 'Min p',
    presence_penalty: '出现惩罚',
    frequency_penalty: '频率惩罚',
    seed: '随机种子',
  },
  parameterHints: {
    max_tokens: '以 token 计，一个汉字约一个',
    temperature: '0 总选最可能的字；越高越出人意料',
    top_p: '去掉可能性低的字；1 为不去掉',
    repetition_penalty: '1 为不惩罚，略高于 1 可减少重复',
    top_k: '只保留最可能的这么多个 token；0 为全部保留',
    min_p: '去掉比最可能的低太多的；0 为不去掉',
    presence_penalty: '避开回答里已有的字',
    frequency_penalty: '出现越多的字越避开',
    seed: '种子相同，回答就相同',
  },
  moreParameters: '更多参数',
  drawnSeed: '随机',
  systemPrompt: '给模型的指示',
  systemPromptHint: '对这个对话之后的每次回答都有效',
  systemPromptPlaceholder: '例如：回答要简短。',
  range: (least, most) => `${least} 到 ${most}`,
  outOfRange: (least, most) => `请填 ${least} 到 ${most} 之间的数。`,
  notWhole: (least, most) => `请填 ${least} 到 ${most} 之间的整数。`,
  engineDefault: '引擎默认',
  unknownToEngine: '服务器背后的引擎不支持这项设置，不会发送。',
  reset: '恢复默认',
  presets: '预设',
  presetName: '预设的名称',
  keepPreset: '保存',
  usePreset: (name) => `使用“${name}”`,
  removePreset: (name) => `删除“${name}”`,
  tooManyPresets: (most) => `已有 ${most} 个预设，不能再多了。请先删除一个。`,
  preparesWhileTyping: '输入时提前准备',
  preparesHint: '提前发送正在输入的内容，首字来得更快；内容不会保存',
  notifies: '回答好了就通知我',
  notifiesHint: '页面在后台时发送系统通知',
  signOutHint: '这个浏览器里的草稿、未发送的消息和预设会被删除。',

  keySend: '发送',
  keyLine: '换行',
  keyStop: '停止回答',
  keyList: '显示或隐藏对话列表',
};

const WHAT_IS_IMPORTED = '请选择从 banter、ChatGPT（conversations.json）或 Open WebUI 导出的文件。';

const FILE_KINDS: Record<FileKind, string> = {
  archive: '压缩文件',
  database: '数据库',
  font: '字体',
  image: '图片',
  oldOffice: '2007 年以前的 Office 文件',
  otherDocument: '其他程序的文档',
  pdf: ' PDF 文件',
  program: '程序',
  richText: ' RTF 文件',
  sound: '音频',
  unknown: '非文本内容',
  video: '视频',
};

function shortCount(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)}k`;
}
