// Before the body is read: with scripts, pages that nobody has asked for yet are not laid out.
document.documentElement.classList.add('js');
