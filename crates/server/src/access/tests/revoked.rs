//! Keys that are revoked or changed while the server runs, and what was opened with them.

use super::*;
use banter_store::{KeyRing, KeyTerms, Place, Store, StoreConfig};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const ANNA: &str = "key-of-anna";

/// The rules of a server with a store, and a key in it.
struct Kept {
    folder: TempDir,
    store: Store,
    access: Arc<Access>,
}

impl Kept {
    async fn with_key(scope: &str) -> Kept {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::Folder(folder.path().to_owned());
        let store = Store::open(StoreConfig::new(place)).expect("a store");
        let kept = Kept { folder, store, access: Arc::new(access(&config())) };
        kept.add(scope);
        kept.access.restore(&kept.store).await.expect("the store works");
        kept
    }

    fn ring(&self) -> KeyRing {
        KeyRing::open(self.folder.path()).expect("the keys")
    }

    fn add(&self, scope: &str) {
        let terms = KeyTerms { scope: scope.into(), ..KeyTerms::default() };
        let hash = SecretHash(KeyHash::of(ANNA).bytes());
        self.ring().add("anna", hash, &terms).expect("a new name");
    }

    fn revoke(&self) {
        self.ring().revoke("anna").expect("it is there");
    }

    fn open_session(&self) -> Result<String, Denial> {
        self.access.open_session(stranger(), Credential::Key(ANNA))
    }

    /// A code as a signed-in page of hers makes one for another device.
    fn make_code(&self, scope: Scope) -> String {
        let principal = Principal::of_key(ANNA);
        self.access.sessions.make_code_for(Grant { scope, principal })
    }

    fn redeem(&self, code: &str) -> Result<String, Denial> {
        self.access.open_session(stranger(), Credential::Code(code))
    }
}

/// The clock stands still unless everything waits for it, so this measures what is waited for, and
/// not the machine.
#[tokio::test(start_paused = true)]
async fn a11_a_revoked_key_and_its_sessions_end_within_a_second() {
    let kept = Kept::with_key("chat").await;
    let key = kept.access.made().find(KeyHash::of(ANNA)).expect("it lets in").revoked();
    let token = kept.open_session().expect("it lets in");
    let session = kept.access.sessions.end_of(&token).expect("it is open");
    let ending = CancellationToken::new();
    let access = kept.access.clone();
    let end_sessions = |keys: &[KeyHash]| access.end_sessions_of(keys);
    let looking = keep_looking(access.made(), &kept.store, end_sessions, ending.clone());
    let noticed = async {
        // In the middle between two looks.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(!key.is_cancelled() && !session.is_cancelled());
        kept.revoke();
        let revoked = Instant::now();
        key.cancelled().await;
        session.cancelled().await;
        assert!(revoked.elapsed() <= Duration::from_secs(1), "{:?}", revoked.elapsed());
        ending.cancel();
    };
    tokio::join!(looking, noticed);
    assert_eq!(scope_of(&kept.access, &token), None);
    assert_eq!(kept.open_session(), Err(Denial::KeyNeeded));
}

#[tokio::test]
async fn a11_a_link_that_a_revoked_key_has_made_opens_nothing() {
    let kept = Kept::with_key("chat").await;
    let codes = [(); 3].map(|()| kept.make_code(Scope::Talk));
    assert!(kept.redeem(&codes[0]).is_ok(), "as long as the key lets in");
    kept.revoke();
    let gone = kept.access.made().look(&kept.store).await.expect("the store works");
    // In the moment before its sessions are ended.
    assert_eq!(kept.redeem(&codes[1]), Err(Denial::KeyNeeded));
    kept.access.end_sessions_of(&gone);
    assert_eq!(kept.access.sessions.redeem(&codes[2]), None, "it is forgotten");
}

#[tokio::test]
async fn a11_the_links_of_others_stay() {
    let kept = Kept::with_key("chat").await;
    let of_operator = kept.access.sessions.make_code(Scope::Administer);
    let principal = Principal::of_key(KEY);
    let of_another = Grant { scope: Scope::Talk, principal };
    let of_another = kept.access.sessions.make_code_for(of_another);
    kept.revoke();
    let gone = kept.access.made().look(&kept.store).await.expect("the store works");
    kept.access.end_sessions_of(&gone);
    assert!(kept.redeem(&of_operator).is_ok() && kept.redeem(&of_another).is_ok());
}

#[tokio::test]
async fn a11_who_has_a_key_that_is_demoted_has_to_come_in_again() {
    let kept = Kept::with_key("admin").await;
    let token = kept.open_session().expect("it lets in");
    let code = kept.make_code(Scope::Administer);
    let socket = kept.access.made().find(KeyHash::of(ANNA)).expect("it lets in").revoked();
    assert_eq!(scope_of(&kept.access, &token), Some(Scope::Administer));
    // The same key with another right, before the server has looked.
    kept.revoke();
    kept.add("chat");
    let changed = kept.access.made().look(&kept.store).await.expect("the store works");
    kept.access.end_sessions_of(&changed);
    assert!(socket.is_cancelled());
    assert_eq!(scope_of(&kept.access, &token), None);
    assert_eq!(kept.redeem(&code), Err(Denial::KeyNeeded));
    let token = kept.open_session().expect("it lets in");
    assert_eq!(scope_of(&kept.access, &token), Some(Scope::Talk));
}
