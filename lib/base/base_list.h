/*
 * Intrusive doubly linked list with a head. The caller owns every node; a node is in at most one
 * list at a time. One thread. All operations are O(1).
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct base_list {
    struct base_list *next;
    struct base_list *prev;
};

static inline void base_list_init(struct base_list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool base_list_empty(const struct base_list *head)
{
    return head->next == head;
}

/* True while the node is in a list; needs the node initialised by base_list_init or a remove. */
static inline bool base_list_linked(const struct base_list *node)
{
    return node->next != node;
}

static inline void base_list_push_back(struct base_list *head, struct base_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void base_list_push_front(struct base_list *head, struct base_list *node)
{
    base_list_push_back(head->next, node);
}

static inline void base_list_remove(struct base_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node;
    node->prev = node;
}

/* Takes the first node out, or returns NULL when the list is empty. */
static inline struct base_list *base_list_pop_front(struct base_list *head)
{
    struct base_list *node = head->next;
    if (node == head)
        return NULL;
    /* By head, not by node->prev: the analyser sees then that node is out of the list. */
    head->next = node->next;
    node->next->prev = head;
    base_list_init(node);
    return node;
}

/* The body may remove node, nothing else. */
#define base_list_each(node, head)                                                                 \
    for (struct base_list *node = (head)->next, *node##_next = node->next; node != (head);         \
         node = node##_next, node##_next = node->next)

#endif
