/** Texts of many kinds, as people attach them. */

export const SIMPLIFIED: Readonly<Record<string, string>> = {
  'twenty characters': '请帮我检查这份合同里有没有明显的问题。谢谢',
  'a few words': '会议纪要',
  news: '新华社北京十二月一日电 国家统计局今天公布，上月居民消费价格同比上涨百分之零点三，涨幅比前一个月扩大。食品价格由降转涨，其中鲜菜价格上涨较多，猪肉价格继续下降。',
  minutes:
    '会议纪要\n时间：2026年12月1日下午2点\n地点：三楼会议室\n参加人：王小明、李华、欧阳雪、司徒静怡\n\n一、讨论了明年的预算，差旅费减少10%。\n二、下周三之前提交方案。\n',
  code: '# 读取配置文件\nimport json\n\ndef load(path):\n    """返回字典，文件不存在时抛出异常。"""\n    with open(path, encoding="gbk") as f:\n        return json.load(f)\n\n# 入口\nif __name__ == "__main__":\n    print(load("config.json"))\n',
  'mostly ASCII': `${'int main(void) { return 0; } // nothing here\n'.repeat(200)}/* 注意：不要修改这一行 */\n`,
  table:
    '姓名,部门,电话,备注\n张伟,研发部,13800000001,\n刘洋,市场部,13800000002,出差中\n陈静,财务部,13800000003,休假至周五\n',
  names: '赵磊\n钱芳\n孙丽\n李娜\n周杰\n吴敏\n郑强\n王秀英\n冯涛\n陈晨\n褚健\n卫东\n',
  novel:
    '他慢慢走到窗前，看见院子里的老槐树下坐着一个人。那人抬起头，朝他笑了笑，又低下头去，好像什么也没有发生过。风吹过来，几片叶子落在石桌上。',
  'technical terms': '螺纹钢\n镀锌板\n槽钢\n角钢\n无缝管\n',
  'old poem': '春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n床前明月光，疑是地上霜。\n',
  log: '2026-12-01 08:30:00,123 [ERROR] 连接数据库失败：超时 (host=10.0.0.5, port=3306)\n2026-12-01 08:30:05,456 [INFO] 重新连接成功，耗时 5.3 秒\n',
  letter:
    '尊敬的客户：\r\n\r\n您好！您订购的商品已于昨日发出，预计三天内送达。如有疑问，请拨打客服热线。\r\n\r\n此致\r\n敬礼\r\n',
  manual:
    '本软件支持以下操作系统：Windows 10及以上版本、Linux（内核4.15以上）。安装前请先关闭杀毒软件，否则可能导致安装失败。★注意★：请勿在安装过程中断电。',
};

export const TRADITIONAL: Readonly<Record<string, string>> = {
  'twenty characters': '請幫我檢查這份合約裡有沒有明顯的問題。謝謝',
  'a few words': '會議記錄',
  news: '行政院主計總處今天公布，上月消費者物價指數較去年同月上漲百分之二點一，漲幅略低於市場預期。其中食物類漲幅較大，蔬菜價格因颱風影響明顯上升。',
  minutes:
    '會議記錄\n時間：2026年12月1日下午2點\n地點：三樓會議室\n出席：王小明、李華、歐陽雪\n\n一、討論了明年的預算，差旅費減少10%。\n',
  code: '// 讀取設定檔，檔案不存在時丟出例外\nfunction load(path) {\n  return JSON.parse(read(path)); // 傳回物件\n}\n',
  table: '姓名,部門,電話,備註\n張偉,研發部,0912000001,\n劉洋,行銷部,0912000002,出差中\n',
  novel:
    '他慢慢走到窗前，看見院子裡的老槐樹下坐著一個人。那人抬起頭，朝他笑了笑，又低下頭去，好像什麼也沒有發生過。',
  letter:
    '親愛的顧客您好：\r\n您訂購的商品已於昨日寄出，預計三天內送達。「如有疑問，請來電。」\r\n',
};

export const JAPANESE: Readonly<Record<string, string>> = {
  'twenty characters': 'この契約書に問題がないか確認してください。',
  news: '気象庁は一日、来週にかけて全国的に気温が平年より低くなると発表した。特に北日本では大雪のおそれがあり、交通機関への影響に注意が必要だという。',
  code: '# 設定ファイルを読み込む\ndef load(path):\n    """辞書を返す。ファイルがなければ例外。"""\n    return json.load(open(path))\n',
  table: '氏名,部署,電話\n山田太郎,営業部,03-0000-0001\n佐藤花子,経理部,03-0000-0002\n',
  katakana: 'サーバーへのアクセスがタイムアウトしました。ネットワークの設定を確認してください。',
};

export const KOREAN: Readonly<Record<string, string>> = {
  'twenty characters': '이 계약서에 문제가 없는지 확인해 주세요. 감사합니다',
  news: '기상청은 다음 주까지 전국적으로 기온이 평년보다 낮을 것이라고 밝혔다. 특히 강원 산지에는 많은 눈이 내릴 것으로 보인다.',
  code: '# 설정 파일을 읽는다\ndef load(path):\n    """사전을 돌려준다. 파일이 없으면 예외."""\n    return json.load(open(path))\n',
  table: '이름,부서,전화\n김철수,영업부,02-000-0001\n이영희,경리부,02-000-0002\n',
};

export const WESTERN: Readonly<Record<string, string>> = {
  French:
    'Le conseil a décidé à l’unanimité de réduire les dépenses : les élèves reçoivent déjà des livres usagés.'.replace(
      '’',
      "'",
    ),
  German:
    'Die Größe der Datei überschreitet das zulässige Maß. Bitte wählen Sie eine andere für später.',
  Spanish: '¿Qué pasó mañana? El niño comió piña en el jardín de la señora Núñez.',
  Portuguese: 'A reunião será na próxima terça-feira, às 14 horas. Não há objeções à ação.',
  Swedish: 'Förslaget går ut på att öka stödet för små företag på landsbygden.',
  'one word': 'café',
  code: '/* Calcule la moyenne pondérée des notes de chaque élève */\nint main() { return 0; }\n',
  names: 'Müller;München\nGómez;Málaga\nLefèvre;Orléans\n',
};
