//! The users of one forwarder, in the order in which they were last heard of.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use frp_proto::msg::UdpAddr;
use tokio::{task::AbortHandle, time::Instant};

use super::{session::Activity, socket::BatchSocket};

/// One user: a socket connected to the local service.
pub(super) struct Session {
    pub(super) socket: Arc<BatchSocket>,
    pub(super) activity: Arc<Activity>,
    /// The task that reads replies; it ends with the session.
    pub(super) task: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All sessions, of which there are never more than a maximum.
pub(super) struct Table {
    by_user: HashMap<UdpAddr, Entry>,
    /// Users by [`Entry::place`]: the least recently used first, but for replies since it got its place.
    by_age: BTreeMap<u64, UdpAddr>,
    next_place: u64,
    most: usize,
}

struct Entry {
    session: Session,
    place: u64,
    /// When it got its place.
    placed: Instant,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self { by_user: HashMap::new(), by_age: BTreeMap::new(), next_place: 0, most: most.max(1) }
    }

    /// The socket of a user whose session is not over, which is now the most recently used.
    pub(super) fn touch(&mut self, user: &UdpAddr) -> Option<Arc<BatchSocket>> {
        let entry = self.by_user.get_mut(user).filter(|entry| entry.session.activity.touch())?;
        entry.placed = Instant::now();
        if entry.place + 1 < self.next_place
            && let Some(user) = self.by_age.remove(&entry.place)
        {
            entry.place = self.next_place;
            self.next_place += 1;
            self.by_age.insert(entry.place, user);
        }
        Some(Arc::clone(&entry.session.socket))
    }

    /// Ends sessions until another one has its place, beginning with the one least recently used by either side.
    pub(super) fn make_room(&mut self) {
        while self.by_user.len() >= self.most {
            self.drop_oldest();
        }
    }

    /// Ends the session that was least recently used. False when there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        // Whoever got a reply since it got its place gets another, once for each time.
        while let Some((_, user)) = self.by_age.pop_first() {
            let Some(entry) = self.by_user.get_mut(&user) else { continue };
            match entry.session.activity.last() {
                Some(last) if last > entry.placed => {
                    entry.placed = last;
                    entry.place = self.next_place;
                    self.next_place += 1;
                    self.by_age.insert(entry.place, user);
                }
                _ => {
                    self.by_user.remove(&user);
                    return true;
                }
            }
        }
        false
    }

    /// Adds a session, in the place of an earlier one of the same user.
    pub(super) fn insert(&mut self, user: UdpAddr, session: Session) {
        let place = self.next_place;
        self.next_place += 1;
        self.by_age.insert(place, user.clone());
        if let Some(before) = self.by_user.insert(user, Entry { session, place, placed: Instant::now() }) {
            self.by_age.remove(&before.place);
        }
    }

    /// Ends the session of a user.
    pub(super) fn remove(&mut self, user: &UdpAddr) {
        if let Some(entry) = self.by_user.remove(user) {
            self.by_age.remove(&entry.place);
        }
    }

    /// Forgets the session of a user that has ended by itself. A later one of the same user stays.
    pub(super) fn forget(&mut self, user: &UdpAddr, ended: &Arc<Activity>) {
        if self.by_user.get(user).is_some_and(|entry| Arc::ptr_eq(&entry.session.activity, ended)) {
            self.remove(user);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        assert_eq!(self.by_user.len(), self.by_age.len());
        self.by_user.len()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use tokio::{net::UdpSocket, task::JoinSet, time::advance};

    use super::*;

    fn user(number: u32) -> UdpAddr {
        SocketAddr::from((std::net::Ipv4Addr::from(number), 9)).into()
    }

    struct Filled {
        table: Table,
        socket: Arc<BatchSocket>,
        tasks: JoinSet<()>,
    }

    impl Filled {
        async fn new(most: usize) -> Self {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let socket = Arc::new(BatchSocket::new(socket, false));
            Self { table: Table::new(most), socket, tasks: JoinSet::new() }
        }

        async fn add(&mut self, number: u32) -> Arc<Activity> {
            advance(Duration::from_millis(1)).await;
            let activity = Arc::new(Activity::new(Duration::from_secs(30)));
            self.table.make_room();
            let task = self.tasks.spawn(std::future::pending());
            let session = Session { socket: self.socket.clone(), activity: activity.clone(), task };
            self.table.insert(user(number), session);
            while self.tasks.try_join_next().is_some() {}
            activity
        }

        fn present(&self) -> Vec<u32> {
            (0..100).filter(|&number| self.table.by_user.contains_key(&user(number))).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recently_used_goes_when_it_is_full() {
        let mut filled = Filled::new(3).await;
        for number in 1..=3 {
            filled.add(number).await;
        }
        assert!(filled.table.touch(&user(1)).is_some() && filled.table.touch(&user(9)).is_none());
        filled.add(4).await;
        assert_eq!(filled.present(), [1, 3, 4]);
        filled.add(5).await;
        assert_eq!(filled.present(), [1, 4, 5]);
        assert_eq!(filled.table.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_a_use() {
        let mut filled = Filled::new(3).await;
        let mut activities = Vec::new();
        for number in 1..=3 {
            activities.push(filled.add(number).await);
        }
        advance(Duration::from_millis(5)).await;
        assert!(activities[0].touch() && activities[1].touch());
        filled.add(4).await;
        assert_eq!(filled.present(), [1, 2, 4]);
        filled.add(5).await;
        assert_eq!(filled.present(), [2, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ended_is_forgotten_and_a_later_one_is_not() {
        let mut filled = Filled::new(3).await;
        let first = filled.add(1).await;
        let second = filled.add(1).await;
        assert_eq!(filled.table.len(), 1);
        filled.table.forget(&user(1), &first);
        assert_eq!(filled.table.len(), 1);
        filled.table.forget(&user(1), &second);
        assert_eq!(filled.table.len(), 0);
        assert!(!filled.table.drop_oldest());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_users_costs_the_same_for_each() {
        let mut filled = Filled::new(50).await;
        let mut answered = Vec::new();
        for number in 0..10_000 {
            let activity = filled.add(number).await;
            if number % 3 == 0 {
                answered.push(activity);
            }
            for activity in &answered {
                activity.touch();
            }
            answered.truncate(10);
            assert!(filled.table.len() <= 50);
        }
        assert_eq!(filled.table.len(), 50);
    }
}
